"""A line's change: the call that made it, its confidence, and the difference that an edit made."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from typing import Any

from prox_spark.programs import Call, Program, parse, render
from prox_spark.programs.operations import BY_NAME, names_of
from prox_spark.reporting.text import clean, shortened

_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")
_COMPARED = 10_000
"""Maximum token pairs in a comparison of two lines; above, everything between the common start and end is one change."""
_CALL = 160
_CALLS_NAMED = 3
_REMOVE_LINES, _EDIT_STRINGS, _INSERTS = names_of("lines"), names_of("strings"), names_of("inserts")

Piece = tuple[str, str]
"""``same``, ``removed`` or ``added``, and the text; or ``rest`` and a note on what is not shown."""


@dataclass(frozen=True)
class Mark:
    """A removed line (``pieces`` is None) or a changed one; ``call`` and ``score`` are shown beside it."""

    line: int
    operation: str
    call: str
    score: str
    pieces: tuple[Piece, ...] | None


def calls_of(program: Mapping[str, Any], semantics: int) -> Sequence[Mapping[str, Any]]:
    """The calls of a row of ``programs`` as this version of the rules parses them, without prose.

    The stored ``calls`` were parsed by version 1, and are the only ones if no ``output`` is stored.
    """
    if semantics == 1 or program["output"] is None:
        return program["calls"] or ()
    offset = program["line_offset"] or 0
    found = [asdict(call) for call in parse(program["output"], semantics).calls if call.outcome != "prose"]
    for call in found:
        if call["line_start"] is not None:
            call["line_start"], call["line_end"] = call["line_start"] + offset, call["line_end"] + offset
    return found


def call_text(call: Mapping[str, Any]) -> str:
    """A stored call as one short line; a call that the parser did not accept is described in words.

    >>> call_text({"operation": "remove_lines", "line_start": 0, "line_end": 2, "outcome": "ok"})
    'remove_lines(0, 2)'
    """
    if call["outcome"] != "ok":
        return f"{clean(call['operation'] or 'unknown')} ({call['outcome']})"
    lines = (call.get("line_start"), call.get("line_end"))
    parsed = Call(call["operation"], *lines, call.get("source"), call.get("target"), index=call.get("index"))
    return shortened(clean(render(Program((parsed,)), "positional")), _CALL)


def explain(
    line: Mapping[str, Any], original: str, programs: Sequence[Mapping[str, Any]], below: float
) -> tuple[str, str]:
    """The call behind a row of ``dropped_lines`` (empty if its score alone removed it), and its score or confidence.

    ``programs``: chunk programs of the document (``line_start``, ``line_end``, ``calls``, ``line_scores``). Lines whose
    score is under ``below`` are removed before any call is applied.
    """
    number, operation, score = line["line_number"], line["operation"], line["score"]
    own = [p for p in programs if p["line_start"] is not None and p["line_start"] <= number <= p["line_end"]]
    if score is not None and operation == "remove_lines" and any(_scored_below(p, number, below) for p in own):
        return "", f"P(keep) {score:.2f} < {below:g}"
    if operation in _INSERTS:
        # They are logged with a line that is left, which may be in another chunk.
        own = []
    calls = [call for program in own or programs for call in program["calls"] or ()]
    new = (line["replacement"] or "").split("\n")
    found = [call for call in calls if _did(call, operation, number, original, new)]
    # The first call that removes a line has removed it; of edits, any may have.
    named = found[:1] if operation in _REMOVE_LINES else found[:_CALLS_NAMED]
    more = f" and {len(found) - _CALLS_NAMED} more" if len(found) > _CALLS_NAMED and len(named) > 1 else ""
    said = "; ".join(map(call_text, named)) + more
    return said or operation, "" if score is None else f"confidence {score:.2f}"


def _scored_below(program: Mapping[str, Any], number: int, below: float) -> bool:
    place = number - program["line_start"]
    scores = program["line_scores"] or ()
    return place < len(scores) and scores[place] is not None and scores[place] < below


def _did(call: Mapping[str, Any], operation: str, number: int, original: str, new: Sequence[str]) -> bool:
    """Whether a call is one of those that can have done this to the line, which became the lines ``new``."""
    if call["outcome"] != "ok" or call["operation"] != operation:
        return False
    if operation in _INSERTS:
        return call["target"] in new
    if BY_NAME[operation].has_lines:
        return bool(call["line_start"] <= number <= call["line_end"])
    return operation not in _EDIT_STRINGS or (call["source"] or "") in original


def compared(old: str, new: str) -> tuple[Piece, ...]:
    """The diff of two texts, in order: ``same`` and ``removed`` make ``old``, ``same`` and ``added`` make ``new``.

    >>> compared("Read more here", "Read here")
    (('same', 'Read '), ('removed', 'more '), ('same', 'here'))
    """
    a, b = _TOKEN.findall(old), _TOKEN.findall(new)
    start = 0
    while start < min(len(a), len(b)) and a[start] == b[start]:
        start += 1
    end = 0
    while end < min(len(a), len(b)) - start and a[-1 - end] == b[-1 - end]:
        end += 1
    middle = _changes(a[start : len(a) - end], b[start : len(b) - end])
    pieces = [("same", "".join(a[:start])), *middle, ("same", "".join(a[len(a) - end :]))]
    return tuple(piece for piece in pieces if piece[1])


def _changes(a: list[str], b: list[str]) -> Iterator[Piece]:
    if len(a) * len(b) > _COMPARED:
        yield from (("removed", "".join(a)), ("added", "".join(b)))
        return
    for tag, from_a, to_a, from_b, to_b in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag == "equal":
            yield "same", "".join(a[from_a:to_a])
        else:
            yield from (("removed", "".join(a[from_a:to_a])), ("added", "".join(b[from_b:to_b])))


def cut(pieces: tuple[Piece, ...], limit: int) -> tuple[Piece, ...]:
    """The first ``limit`` characters of the pieces."""
    kept: list[Piece] = []
    for kind, text in pieces:
        if limit <= 0:
            break
        kept.append((kind, text[:limit]))
        limit -= len(text)
    return tuple(kept)
