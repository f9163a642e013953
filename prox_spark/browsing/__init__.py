"""``browse``: a local web page over a store, read-only.

``server`` serves HTTP to this machine only; ``site`` answers a request with a page. ``queries`` reads with Spark, a page at a
time (``paging``) and within a time limit (``deadlines``); ``pages`` and ``charts`` are pure. Page text is untrusted: it is
only inserted as text.
"""
