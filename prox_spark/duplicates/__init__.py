"""Finds documents with equal or nearly equal text: hashes of normalised texts, and MinHash signatures."""
