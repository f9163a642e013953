"""What documents with equal or nearly equal text have in common: hashes of normalised texts and MinHash signatures."""
