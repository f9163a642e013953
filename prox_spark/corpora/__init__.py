"""Corpora as they lie on disks: listing files, reading records."""
