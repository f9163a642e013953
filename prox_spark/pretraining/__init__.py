"""Models trained on a corpus, to measure what refining it is worth: training, perplexity, task suites, compute."""
