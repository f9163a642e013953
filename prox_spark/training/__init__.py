"""Shared parts of the training loops: steps, checkpoints, models with random weights, several processes."""
