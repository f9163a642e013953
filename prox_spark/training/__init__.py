"""What every training loop needs: steps, checkpoints, models with random weights, several processes."""
