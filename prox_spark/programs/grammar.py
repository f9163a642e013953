"""Grammars (EBNF of xgrammar, which vLLM's structured outputs take) that hold a model to well-formed programs.

A grammar does not see the page: it cannot keep ``start <= end``, nor line numbers inside the chunk, nor sources that
occur in it. Those are the executor's to judge. A token limit still cuts programs off. The language is that of the
released ProX refiners (``start=``, ``end=``, ``untouch_doc()``), a subset of what ``prox_spark.programs.parse`` reads:
``docs/programs.md`` has the whole of it.
"""

MAX_CALLS = 64
"""Calls that a grammar lets a chunk's program have: more than any labelled chunk of 1,500 tokens needs."""

EBNF = rf"""root ::= " "? program
program ::= "untouch_doc()" | call ("\n" call){{0,{MAX_CALLS - 1}}}
call ::= remove | normalize
remove ::= "remove_lines(start=" number ", end=" number ")"
normalize ::= "normalize(source_str=" string (", target_str=" string)? ")"
number ::= "0" | [1-9] [0-9]{{0,3}}
string ::= "\"" character* "\""
character ::= [^"\\\n\r] | "\\" ["\\t]
"""
"""Chunk programs: ``untouch_doc()``, or a bounded number of ``remove_lines`` and ``normalize`` calls, one a line.

A space may come first, since Llama-2's tokenizer writes one before a word that begins a text. Strings have no bound of
their own: a bounded repetition costs 118 ms a token over 32,000 entries where an unbounded one costs 0.06 (xgrammar 0.2),
and the token limit bounds them.
"""

DOCUMENT_EBNF = """root ::= " "? ("keep_doc()" | "drop_doc()")
"""
"""Document programs: one of the two decisions."""
