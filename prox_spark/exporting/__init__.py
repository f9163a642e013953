"""Export of a refinement to files: Parquet, JSON lines, a Hugging Face dataset, or token shards to train on."""
