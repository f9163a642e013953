"""Classic web filters as programs: which documents and lines to remove.

``catalogue`` names every rule with its source and default; ``programs`` applies them to many texts at once.
"""
