"""Making refiners: from labelled pages to a model folder that ``generate`` takes as ``chunk.engine.model``."""
