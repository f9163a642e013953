"""Selection of documents by a score: importance resampling (DSIR), random, or a score of the user."""
