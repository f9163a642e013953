"""Choosing documents by a number: importance resampling towards a target corpus (DSIR), chance, a score that the user brings."""
