"""Training of refiners: from labelled pages to a model folder for ``chunk.engine.model``."""
