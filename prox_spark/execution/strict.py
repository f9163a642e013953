"""``strict`` mode for one document, in plain Python: a readable implementation of ``docs/programs.md``.

The batch kernels give the same bytes; the tests compare the two.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from prox_spark.execution.document import Cause, Lines, byte_length
from prox_spark.execution.result import Counts, Result
from prox_spark.execution.settings import ExecutionSettings
from prox_spark.execution.words import count_words
from prox_spark.programs.model import MAX_LINE, Call
from prox_spark.programs.operations import BY_NAME, names_of
from prox_spark.programs.parser import parse

EDIT_BUDGET = 256
"""Edits of a document may read at most this many times its length, plus ``EDIT_BUDGET_BASE`` bytes."""
EDIT_BUDGET_BASE = 1 << 20
GROWTH_BASE = 1000
"""Lengthening edits may together add at most the document's length plus this many bytes."""
GUARDS = ("error_budget", "loop", "edit_budget")
_LINES, _STRINGS = names_of("lines"), names_of("strings")
_INSERTS, _DOCUMENT = names_of("inserts"), names_of("document")


@dataclass(frozen=True, slots=True)
class ChunkProgram:
    """A program, and the lines it was written for.

    ``line_start`` and ``line_end`` (both included, counted from 0 in the document) limit its effect; ``None`` means the
    document's first or last line. ``numbering_offset`` is added to the line numbers in the output: if each chunk's labels
    count from 0, it is ``line_start``. ``line_scores``: P(keep) for each line from ``line_start`` on. ``confidences``: one
    for each call that version 1 of the rules reads, as in the ``programs`` table; missing or ``None`` means unknown.
    """

    output: str | None
    line_start: int | None = None
    line_end: int | None = None
    numbering_offset: int = 0
    line_scores: Sequence[float | None] = ()
    confidences: Sequence[float | None] = ()


@dataclass(slots=True)
class _State:
    """The state of a document during execution."""

    text: str
    lines: Lines
    settings: ExecutionSettings
    counts: Counter[str] = field(default_factory=Counter)
    guards: set[str] = field(default_factory=set)
    dropped_by_program: bool = False
    bytes: int = field(init=False)
    edit_bytes: int = 0
    growth: int = 0
    inserted: dict[tuple[int, int], tuple[str, Cause]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.bytes = byte_length(self.text)


@dataclass(frozen=True, slots=True)
class _Step:
    """A call to apply, with its lines clipped to the chunk."""

    call: Call
    line_start: int
    line_end: int
    cause: Cause


def execute_strict(text: str, programs: Sequence[ChunkProgram], settings: ExecutionSettings) -> Result:
    """Apply the programs of a document in order, then apply the document's guards."""
    state = _State(text, Lines(text.split("\n")), settings)
    for index, program in enumerate(programs):
        _apply(state, index, program)
    state.lines.join(sorted(after for after, _ in state.inserted))
    state.lines.insert(state.inserted, with_removed=settings.semantics < 3)
    return _judge(state)


def _apply(state: _State, index: int, program: ChunkProgram) -> None:
    last = len(state.lines.original) - 1
    start = max(0, program.line_start if program.line_start is not None else 0)
    end = max(start - 1, min(last, program.line_end if program.line_end is not None else last))
    _remove_low_scores(state, index, program, start, end)
    state.counts["n_chunks"] += 1
    steps, guard = _plan(state, index, program, start, end)
    if guard is not None:
        state.guards.add(guard)
        state.counts["n_chunks_voided"] += 1
        return
    for step in steps:
        if step.call.operation in _LINES:
            state.lines.remove(step.line_start, step.line_end, step.cause)
    for step in steps:
        if step.call.operation in _INSERTS:
            _insert(state, step)
    for step in steps:
        if step.call.operation in _STRINGS:
            _edit(state, step)
        elif step.call.operation in _DOCUMENT:
            state.dropped_by_program = True


def _remove_low_scores(state: _State, index: int, program: ChunkProgram, start: int, end: int) -> None:
    """Line scores are not part of the program, so the guards of the chunk do not apply to them."""
    first = program.line_start if program.line_start is not None else 0
    for line, score in enumerate(program.line_scores, first):
        if start <= line <= end and score is not None and score < state.settings.drop_line_below:
            state.lines.remove(line, line, Cause("remove_lines", index, score))


def _plan(state: _State, index: int, program: ChunkProgram, start: int, end: int) -> tuple[list[_Step], str | None]:
    """The steps of a program, and the guard that cancels it."""
    semantics = state.settings.semantics
    calls = parse(program.output, semantics).calls if program.output else ()
    confidences = _confidences(program, calls, semantics)
    steps: list[_Step] = []
    seen: Counter[tuple[object, ...]] = Counter()
    errors = 0
    for call, confidence in zip(calls, confidences, strict=True):
        if call.outcome == "prose":
            continue
        state.counts["n_calls"] += 1
        if confidence is not None and confidence < state.settings.min_confidence:
            state.counts["n_low_confidence"] += 1
        elif call.outcome == "truncated":
            state.counts["n_truncated"] += 1
        elif call.outcome != "ok":
            errors += 1
        else:
            key = (call.operation, call.line_start, call.line_end, call.index, call.source, call.target or "")
            seen[key] += 1
            if seen[key] > 1:
                state.counts["n_repeated"] += 1
                continue
            step = _place(call, start, end, program.numbering_offset, Cause(call.operation, index, confidence))
            if step is not None:
                steps.append(step)
            elif semantics > 1 and _elsewhere(state, call, program.numbering_offset):
                state.counts["n_clipped"] += 1
            else:
                errors += 1
    state.counts["n_errors"] += errors
    guard = None
    if max(seen.values(), default=0) > state.settings.max_repeats:
        guard = "loop"
    elif errors > state.settings.error_budget and (semantics == 1 or errors > len(steps)):
        guard = "error_budget"
    elif not _within_edit_budget(state, steps, start, end):
        guard = "edit_budget"
    if guard is None:
        state.counts["n_clipped"] += sum(_is_clipped(step, program.numbering_offset) for step in steps)
    return steps, guard


def _confidences(program: ChunkProgram, calls: Sequence[Call], semantics: int) -> list[float | None]:
    """The confidence of each call. For version 1 they match one to one; later versions match calls by their offsets."""
    given = program.confidences
    places: Sequence[int] = range(len(calls))
    if semantics > 1 and given and program.output:
        starts = [call.start for call in parse(program.output).calls]
        places = [bisect_right(starts, call.start) - 1 for call in calls]
    return [given[place] if 0 <= place < len(given) else None for place in places]


def _elsewhere(state: _State, call: Call, offset: int) -> bool:
    """Whether the call's lines exist in the document; a call outside of its chunk may come from an overlapping window."""
    assert call.line_start is not None
    assert call.line_end is not None
    offset = max(-MAX_LINE, min(MAX_LINE, offset))
    first, last = call.line_start + offset, call.line_end + offset
    return first <= last and last >= 0 and first < len(state.lines.original)


def _place(call: Call, start: int, end: int, offset: int, cause: Cause) -> _Step | None:
    """The call on the chunk's lines, or ``None`` if it names none of them."""
    if call.line_start is None or call.line_end is None:
        return _Step(call, start, end, cause)
    offset = max(-MAX_LINE, min(MAX_LINE, offset))
    if start == 0 and call.operation in _INSERTS:
        start = -1  # before the first line
    first, last = max(start, call.line_start + offset), min(end, call.line_end + offset)
    return None if first > last else _Step(call, first, last, cause)


def _is_clipped(step: _Step, offset: int) -> bool:
    if step.call.operation not in _LINES or step.call.line_start is None or step.call.line_end is None:
        return False
    return (step.line_start - offset, step.line_end - offset) != (step.call.line_start, step.call.line_end)


def _within_edit_budget(state: _State, steps: list[_Step], start: int, end: int) -> bool:
    """Whether the edits of this chunk, each of which may read all of it, stay within the document's budget."""
    edits = sum(step.call.operation in _STRINGS for step in steps)
    if edits == 0:
        return True
    scope = sum(byte_length(line) + 1 for line in state.lines.original[start : end + 1])
    if state.edit_bytes + edits * scope > EDIT_BUDGET * state.bytes + EDIT_BUDGET_BASE:
        return False
    state.edit_bytes += edits * scope
    return True


def _edit(state: _State, step: _Step) -> None:
    source, target = step.call.source or "", step.call.target or ""
    hits: dict[int, int] = {}
    semantics, unique = state.settings.semantics, BY_NAME[step.call.operation].unique
    if semantics > 2 and unique and "\n" in (source[-1:], target[-1:]):
        _edit_end(state, step, source, target)
        return
    # Removing every single blank would leave a text without words.
    blank = semantics > 1 and source == " "
    if source and "\n" not in source and not blank:
        for line in state.lines.surviving(step.line_start, step.line_end):
            count = state.lines.current[line].count(source)
            if count:
                hits[line] = count
    if semantics > 1 and unique and sum(hits.values()) > 1:
        hits = {}
    if not hits:
        state.counts["n_no_match"] += 1
        return
    if _may_grow(state, sum(hits.values()) * (byte_length(target) - byte_length(source))):
        for line in hits:
            state.lines.replace(line, source, target, step.cause)


def _edit_end(state: _State, step: _Step, source: str, target: str) -> None:
    """Edit the end of a line, written with its newline, as UltraX's models do; without it, the next line is joined to it."""
    line, lines = step.line_start, state.lines
    old, new, takes = source.removesuffix("\n"), target.removesuffix("\n"), source.endswith("\n")
    matches = "\n" not in old and line not in lines.removed and lines.current[line].endswith(old)
    if takes:
        matches = matches and line < len(lines.original) - 1 and line not in lines.joined
    else:
        matches = matches and old not in ("", " ") and lines.current[line].count(old) == 1
    if not matches:
        state.counts["n_no_match"] += 1
    elif _may_grow(state, byte_length(new) - byte_length(old)):
        lines.replace_end(line, old, new, step.cause)
        if takes and not target.endswith("\n"):
            lines.joined[line] = step.cause


def _may_grow(state: _State, growth: int) -> bool:
    """Whether an edit may lengthen the text by this much; counts it, or the error."""
    if growth > 0:
        if state.growth + growth > state.bytes + GROWTH_BASE:
            state.counts["n_errors"] += 1
            return False
        state.growth += growth
    return True


def _insert(state: _State, step: _Step) -> None:
    """Record a new line, to be inserted after all other changes; a later one at the same place replaces an earlier one."""
    text = step.call.target or ""
    if _may_grow(state, byte_length(text) + 1):
        state.inserted[step.line_start, step.call.index or 0] = (text, step.cause)


def _judge(state: _State) -> Result:
    """The document's guards. They apply only if something changed: an empty program changes nothing."""
    settings, lines = state.settings, state.lines
    guard = ",".join(sorted(state.guards, key=GUARDS.index)) or None
    counts = {
        **state.counts,
        "n_lines": len(lines.original),
        "n_characters_original": len(state.text),
    }
    log = lines.log()
    reason = "program" if state.dropped_by_program else None
    text = state.text
    if reason is None and log:
        text = lines.text()
        before, after = count_words(state.text), count_words(text)
        if len(lines.removed) == len(lines.original) or after <= (1.0 - settings.max_removed_share) * before:
            reason = "removed_share"
        elif before > settings.min_words and after <= settings.min_words:
            reason = "too_short"
    if reason is not None:
        return Result("", True, reason, guard, Counts(**counts))
    n_removed = len(lines.removed)
    counts |= {"n_characters": len(text), "n_lines_removed": n_removed, "n_lines_rewritten": len(log) - n_removed}
    return Result(text, False, None, guard, Counts(**counts), log)
