"""Grammars (EBNF of xgrammar, for vLLM's structured outputs) that constrain a model to well-formed programs.

A grammar does not know the page: it cannot ensure ``start <= end``, line numbers inside the chunk, or sources that occur in
it. The executor checks these. A token limit still cuts programs off. The language is that of the
released ProX refiners (``start=``, ``end=``, ``untouch_doc()``), a subset of the one that ``prox_spark.programs.parse`` reads:
``docs/programs.md`` describes all of it.
"""

from prox_spark.programs.operations import BY_NAME
from prox_spark.programs.parser import parse

_TOGETHER = {"remove_lines", "normalize"}
_ULTRAX = ("remove_lines", "replace_str", "add_line")
_ULTRAX_ALONE = {"keep_chunk": "keep_all", "remove_all": "remove_all"}
_RULES = {"line": "number", "index": "number", "string": "string"}

MAX_CALLS = 64
"""Maximum calls in a chunk's program: more than any labelled chunk of 1,500 tokens needs."""
MAX_ULTRAX_CALLS = 512
"""The same for UltraX, whose windows have eight times the tokens."""


def _written(name: str) -> str:
    """The grammar of a call of this operation, in the released models' dialect."""
    operation = BY_NAME[name]
    if not operation.arguments:
        return f'"{operation.released}()"'
    parts = []
    for number, argument in enumerate(operation.arguments):
        before = ", " if number else f"{operation.released}("
        value = "number" if argument.kind == "line" else "string"
        part = f'"{before}{argument.released or argument.names[0]}=" {value}'
        parts.append(f"({part})?" if argument.optional else part)
    return " ".join([*parts, '")"'])


EBNF = rf"""root ::= " "? program
program ::= {_written("keep_chunk")} | call ("\n" call){{0,{MAX_CALLS - 1}}}
call ::= remove | normalize
remove ::= {_written("remove_lines")}
normalize ::= {_written("normalize")}
number ::= "0" | [1-9] [0-9]{{0,3}}
string ::= "\"" character* "\""
character ::= [^"\\\n\r] | "\\" ["\\t]
"""
"""Chunk programs: ``untouch_doc()``, or a bounded number of ``remove_lines`` and ``normalize`` calls, one per line.

A space may come first, because Llama-2's tokenizer writes one before the first word of a text. Strings have no length limit:
a bounded repetition costs 118 ms per token over 32,000 entries, an unbounded one 0.06 ms (xgrammar 0.2), and the token limit
bounds them anyway.
"""

DOCUMENT_EBNF = f"""root ::= " "? ({_written("keep_doc")} | {_written("drop_doc")})
"""
"""Document programs: one of the two decisions."""


def _positional(name: str) -> str:
    """The grammar of a call of this operation with positional arguments."""
    operation = BY_NAME[name]
    values = ' ", " '.join(_RULES[argument.kind] for argument in operation.arguments)
    return f'"{operation.function}(" {values} ")"'


_ALONE = " | ".join(f'"{function}()"' for function in _ULTRAX_ALONE.values())


def _ultrax(line_end: str) -> str:
    """The grammar of UltraX's programs; ``line_end`` is what strings may end with."""
    return rf"""root ::= {_ALONE} | call ("\n" call){{0,{MAX_ULTRAX_CALLS - 1}}}
call ::= {" | ".join(map(_positional, _ULTRAX))}
number ::= "0" | [1-9] [0-9]{{0,5}}
string ::= "'" single* {line_end}"'" | "\"" double* {line_end}"\""
single ::= [^'\\\n\r] | "\\" ["'\\t]
double ::= [^"\\\n\r] | "\\" ["'\\t]
"""


ULTRAX_1_EBNF = _ultrax("")
"""UltraX's programs: ``keep_all()``, ``remove_all()``, or a bounded number of calls, strings quoted as Python prints them."""
ULTRAX_EBNF = _ultrax(r'"\\n"? ')
"""The same; strings may end with the line's newline. Version 3 of the rules reads it."""
_ULTRAX_GRAMMARS = {"ultrax/1": ULTRAX_1_EBNF, "ultrax/2": ULTRAX_EBNF}
"""By template. A grammar's text is part of refiners' fingerprints: a changed grammar needs a new template."""


def grammar_of(stage: str, template: str) -> str:
    """The grammar of a stage's programs for models with this template."""
    if stage == "document":
        return DOCUMENT_EBNF
    return _ULTRAX_GRAMMARS.get(template, EBNF)


def follows(grammar: str, program: str, *, cut: bool = False) -> bool:
    """Whether a program has only calls that a grammar allows; ``cut``: the token limit may have ended it inside a call.

    It replaces constrained decoding for engines without it. The parser decides, by the version of the rules that the grammar
    came with (3 for ``ULTRAX_EBNF``, else 2): other spellings, and comments, prose and thoughts around the calls are accepted.
    Document programs always pass, because the answer is checked when the decision is read.

    >>> follows(EBNF, "Sure!\\nremove_lines(start=0, end=2)"), follows(EBNF, "Sure! remove_lines(start=0, end=2)")
    (True, False)
    """
    if grammar == DOCUMENT_EBNF:
        return True
    ultrax = grammar in _ULTRAX_GRAMMARS.values()
    # A newer version would let a refiner accept other answers under the same fingerprint.
    read = parse(program, 3 if grammar == ULTRAX_EBNF else 2).calls
    calls = [call for call in read if call.outcome != "prose"]
    if read and not calls:
        return False
    if cut and calls and calls[-1].outcome == "truncated":
        calls = calls[:-1]
    names = {call.operation for call in calls}
    alone = names & (set(_ULTRAX_ALONE) if ultrax else {"keep_chunk"})
    allowed = alone or (set(_ULTRAX) if ultrax else _TOGETHER)
    most = MAX_ULTRAX_CALLS if ultrax else MAX_CALLS
    return len(calls) <= most and len(alone) <= 1 and all(call.outcome == "ok" for call in calls) and names <= allowed
