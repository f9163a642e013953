"""Scoring documents by statistics of their text alone: no model, no GPU, every weight readable."""
