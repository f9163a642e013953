"""Classic rules of web corpora, as programs: which documents go, and which lines.

``catalogue`` names every rule with its source and default; ``programs`` applies them to many texts at once.
"""
