"""Trains models on a corpus, to measure the value of refining it: training, perplexity, task suites, compute."""
