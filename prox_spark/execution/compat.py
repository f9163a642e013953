"""``compat`` mode for one document: reproduces the published ProX executor with all its quirks.

The quirks are that executor's, so that published refined corpora can be reproduced: arguments are split at all
commas and ``=``, two errors anywhere in the document cancel every edit, ten words or fewer are dropped.
Two things differ on purpose, and change no text: ranges cost nothing for lines that do not exist, and programs whose
edits would cost thousands of times the document's length raise ``CompatError``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from prox_spark.errors import CompatError
from prox_spark.execution.document import Cause, Lines, byte_length
from prox_spark.execution.result import Counts, Result

MAX_ERRORS = 1
MIN_WORDS = 10
MIN_KEPT_SHARE = 1 - 0.95
"""``threshold_2`` of the published executor, in its own floating point."""
WORK_FACTOR, WORK_BASE = 16384, 1 << 26
"""Edits may read this many times the document's bytes, plus this constant."""
GROWTH_FACTOR, GROWTH_BASE = 16, 1 << 20
"""No edit may make the document longer than this many times its bytes, plus this constant."""
ZERO_DIVISION = "this document has no words, and the published executor divides by their number"
TOO_COSTLY = "the edits of this program would cost thousands of times the document's length"

Range = tuple[int, int]


@dataclass(slots=True)
class _State:
    lines: Lines
    bytes: int
    current_bytes: int
    work: int = 0
    errors: int = 0
    calls: int = 0
    no_match: int = 0
    ranges: list[Range] = field(default_factory=list)
    removals: list[tuple[int, int, Cause]] = field(default_factory=list)


def execute_compat(text: str, programs: Sequence[str]) -> Result:
    """Apply the programs, joined by newlines. Raises ``CompatError`` where the published executor raises."""
    n_bytes = byte_length(text)
    state = _State(Lines(text.split("\n")), n_bytes, n_bytes)
    last = len(state.lines.original) - 1
    for call, chunk in _calls(programs):
        if call.startswith("remove_lines"):
            state.calls += 1
            if "all=True" in call:
                state.removals.append((0, last, Cause("remove_all", chunk)))
            elif (lines := _read_range(state, call)) is not None:
                state.ranges.append(lines)
                state.removals.append((max(0, lines[0]), min(last, lines[1]), Cause("remove_lines", chunk)))
        elif call.startswith("normalize"):
            state.calls += 1
            _normalize(state, call, Cause("normalize", chunk))
    for start, end, cause in state.removals:
        state.lines.remove(start, end, cause)
    for start, end in _merged(state.ranges):
        if start > last or end > last:
            state.errors += 1
    return _judge(text, state, len(programs))


def _calls(programs: Sequence[str]) -> Iterator[tuple[str, int]]:
    """The lines of all programs: the published job strips spaces from each output, and joins outputs by newlines."""
    for chunk, program in enumerate(programs):
        for call in program.strip(" ").split("\n"):
            yield call, chunk


def _brackets(state: _State, call: str) -> str | None:
    """The text between the first ``(`` and the first ``)``; without the latter, all but the last character."""
    opening = call.find("(")
    if opening < 0:
        state.errors += 1
        return None
    closing = call.find(")")
    if closing < 0:
        state.errors += 1
    return call[opening + 1 : closing]


def _read_range(state: _State, call: str) -> Range | None:
    inside = _brackets(state, call)
    if inside is None:
        return None
    try:
        first, second = inside.split(",")[:2]
        return int(first.split("=")[1]), int(second.split("=")[1])
    except (ValueError, IndexError):
        state.errors += 1
        return None


def _normalize(state: _State, call: str, cause: Cause) -> None:
    inside = _brackets(state, call)
    if inside is None:
        return
    arguments = inside.split(",")
    if len(arguments) > 2:
        return
    try:
        values = [argument.split("=")[1].strip('"') for argument in arguments]
    except IndexError:
        state.errors += 1
        return
    source, target = (values[0], "") if len(values) == 1 else (values[0], values[1])
    if source == "" or (len(values) == 2 and source == " "):
        return
    state.work += state.current_bytes + 1
    if state.work > WORK_FACTOR * state.bytes + WORK_BASE:
        raise CompatError(TOO_COSTLY)
    hits = {line: count for line, text in enumerate(state.lines.current) if (count := text.count(source))}
    if not hits:
        state.no_match += 1
        return
    state.current_bytes += sum(hits.values()) * (byte_length(target) - byte_length(source))
    if state.current_bytes > GROWTH_FACTOR * state.bytes + GROWTH_BASE:
        raise CompatError(TOO_COSTLY)
    for line in hits:
        state.lines.replace(line, source, target, cause)


def _merged(ranges: list[Range]) -> list[Range]:
    """Ranges sorted by start; a range that touches its predecessor is merged with it. Backward ranges are not special."""
    merged: list[Range] = []
    for start, end in sorted(ranges, key=lambda lines: lines[0]):
        if merged and start <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _judge(text: str, state: _State, n_chunks: int) -> Result:
    processed = state.lines.text()
    before, after = len(text.split()), len(processed.split())
    if before == 0:
        raise CompatError(ZERO_DIVISION)
    counts = {
        "n_lines": len(state.lines.original),
        "n_characters_original": len(text),
        "n_calls": state.calls,
        "n_errors": state.errors,
        "n_no_match": state.no_match,
        "n_chunks": n_chunks,
    }
    within = state.errors <= MAX_ERRORS
    if within and after / before <= MIN_KEPT_SHARE:
        return Result("", True, "removed_share", None, Counts(**counts))
    if after <= MIN_WORDS:
        return Result("", True, "too_short", None, Counts(**counts))
    if not within:
        return Result(text, False, None, "error_budget", Counts(**counts, n_characters=len(text)))
    log, n_removed = state.lines.log(), len(state.lines.removed)
    counts |= {"n_characters": len(processed), "n_lines_removed": n_removed, "n_lines_rewritten": len(log) - n_removed}
    return Result(processed, False, None, None, Counts(**counts), log)
