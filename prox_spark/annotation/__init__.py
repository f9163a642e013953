"""Labels of a sample of documents from a large model, as training data for ``adapt``."""
