"""``report``: one page that shows a refinement's results in numbers, charts and a sample of its documents.

``facts`` and ``sample`` read tables with Spark; ``figures``, ``documents``, ``lines`` and ``text`` turn that into pure
values; ``pictures``, ``svg`` and ``page`` make the file. Page text is untrusted: it is only inserted as data.
"""
