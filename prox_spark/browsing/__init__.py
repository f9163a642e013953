"""``browse``: a local web page over a store. It reads; it writes nothing.

``server`` speaks HTTP to this machine alone; ``site`` answers a request with a page. ``queries`` read with Spark, a page at a
time (``paging``) and within a limit of time (``deadlines``); ``pages`` and ``charts`` are pure. Page text is untrusted: it is
only inserted as text.
"""
