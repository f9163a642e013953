"""A refinement as files for others: Parquet, JSON lines, a Hugging Face dataset, or token shards to train on."""
