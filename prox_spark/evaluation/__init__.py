"""How good refiners are: what they do to labelled pages and documents, over the tables that a refinement writes."""
