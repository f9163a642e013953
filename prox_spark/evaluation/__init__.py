"""Measurement of refiners on labelled pages and documents, from the tables that a refinement writes."""
