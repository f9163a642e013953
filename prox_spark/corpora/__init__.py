"""Reading of corpora: list files, read records."""
