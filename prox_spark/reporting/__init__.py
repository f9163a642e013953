"""``report``: one page that shows what a refinement did, in numbers, pictures and a sample of its documents.

``facts`` and ``sample`` read tables with Spark; ``figures``, ``documents``, ``lines`` and ``text`` are pure values made of
what they read; ``pictures``, ``svg`` and ``page`` make the file. Page text is untrusted: it is only inserted as data.
"""
