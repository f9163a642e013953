"""A sampled document in the report: its original lines, and the changes of one or two versions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prox_spark.programs.operations import names_of
from prox_spark.reporting.lines import Mark, call_text, compared, cut, explain
from prox_spark.reporting.text import clean, shortened

MAX_LINE = 2_000
MAX_CALLS = 40


@dataclass(frozen=True)
class Extent:
    """How much of a document is shown, from its beginning; ``MAX_LINE`` limits it too. The page says what is not shown."""

    characters: int
    lines: int


IN_REPORT = Extent(20_000, 400)
ALONE = Extent(500_000, 5_000)
"""The extent for a document on a separate page."""

_MAX_NAME = 300

REASONS = {
    "empty": "it is blank",
    "program": "its program says " + " or ".join(f"{name}()" for name in sorted(names_of("document"))),
    "removed_share": "its programs remove too much of it (removed_share)",
    "too_short": "its programs leave too few words (too_short)",
}
"""Why a document is dropped, in words; ``keep_score`` is explained with its numbers instead."""


@dataclass(frozen=True)
class Line:
    """An original line; ``more`` says which part of it is not shown."""

    text: str
    more: str = ""


@dataclass(frozen=True)
class Outcome:
    """A refinement version's result for a document.

    ``fate``: kept, dropped, quarantined or absent (not in that version); ``why`` is one sentence. ``scores``: P(keep) of
    the shown lines, if a refiner scored lines. ``calls``: the calls of its programs, even those without effect.
    """

    fate: str
    why: str
    marks: tuple[Mark, ...] = ()
    scores: tuple[float | None, ...] = ()
    calls: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReportDocument:
    """One document on the page. ``change`` is its change class, ``operations`` are those of any shown version."""

    doc_id: str
    source: str
    url: str
    lines: tuple[Line, ...]
    hidden: str
    change: str
    operations: tuple[str, ...]
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True)
class Found:
    """Rows of one document in one version, as read; missing ones are None or empty.

    ``log``: lines of ``dropped_lines`` (line_number, operation, score, replacement); ``programs``: rows of ``programs``.
    """

    refined: Mapping[str, Any] | None = None
    dropped: Mapping[str, Any] | None = None
    quarantined: Mapping[str, Any] | None = None
    log: Sequence[Mapping[str, Any]] = ()
    operations: Sequence[str] = ()
    programs: Sequence[Mapping[str, Any]] = ()

    @property
    def fate(self) -> str:
        """kept, dropped, quarantined or absent."""
        fates = (("kept", self.refined), ("dropped", self.dropped), ("quarantined", self.quarantined))
        return next((fate for fate, row in fates if row is not None), "absent")


def document(
    row: Mapping[str, Any],
    found: Sequence[Found],
    executions: Sequence[Mapping[str, Any]],
    extent: Extent = IN_REPORT,
) -> ReportDocument:
    """The view of one document.

    ``row``: doc_id, source, url, ``head`` (the first characters of its text, as many as ``extent`` has), n_characters, n_lines.
    ``found`` and ``executions`` (the ``execution`` settings) have an entry for each version.
    """
    texts = row["head"].split("\n")[: extent.lines]
    whole = len(row["head"]) == row["n_characters"]
    # The last line may continue after the head; then its end is unknown.
    open_line = None if whole or len(texts) < row["head"].count("\n") + 1 else len(texts) - 1
    return ReportDocument(
        doc_id=_name(row["doc_id"]),
        source=_name(row["source"]),
        url=_name(row["url"]),
        lines=tuple(_line(text, number == open_line) for number, text in enumerate(texts)),
        hidden=_hidden(row, len(texts)),
        change=change(found),
        operations=tuple(sorted({name for one in found for name in one.operations})),
        outcomes=tuple(_outcome(one, texts, open_line, each) for one, each in zip(found, executions, strict=True)),
    )


def change(found: Sequence[Found]) -> str:
    """The change class: for two versions the names of ``compare``, for one the document's outcome."""
    fates = [one.fate for one in found]
    last = found[-1].refined
    if len(found) == 1:
        if last is None:
            return fates[0]
        return "edited" if last["n_lines_removed"] or last["n_lines_rewritten"] else "untouched"
    if "absent" in fates:
        return "added" if fates[0] == "absent" else "removed"
    before = found[0].refined
    if before is not None and last is not None:
        return "unchanged" if before["text_hash"] == last["text_hash"] else "changed"
    if before is None and last is None:
        return "dropped_in_both"
    return "newly_dropped" if last is None else "newly_kept"


def _name(value: str | None) -> str:
    return shortened(clean((value or "").replace("\n", " ")), _MAX_NAME)


def _line(text: str, goes_on: bool) -> Line:
    shown = clean(text[:MAX_LINE])
    if goes_on:
        return Line(shown, "… the line continues")
    return Line(shown, f"… {len(text) - MAX_LINE:,} more characters" if len(text) > MAX_LINE else "")


def _hidden(row: Mapping[str, Any], shown_lines: int) -> str:
    """A note on the parts of the document that are not shown, or nothing."""
    parts = []
    if shown_lines < row["n_lines"]:
        parts.append(f"the first {shown_lines:,} of {row['n_lines']:,} lines")
    if len(row["head"]) < row["n_characters"]:
        parts.append(f"the first {len(row['head']):,} of {row['n_characters']:,} characters")
    return f"Shown: {', '.join(parts)}." if parts else ""


def _outcome(found: Found, texts: Sequence[str], open_line: int | None, execution: Mapping[str, Any]) -> Outcome:
    chunks = [program for program in found.programs if program["stage"] == "chunk"]
    below = float(execution["drop_line_below"])
    marks = [
        _mark(line, texts, open_line, chunks, below)
        for line in sorted(found.log, key=lambda line: int(line["line_number"]))
        if line["line_number"] < len(texts)
    ]
    calls = [call_text(call) for program in found.programs for call in program["calls"] or ()]
    if len(calls) > MAX_CALLS:
        calls[MAX_CALLS:] = [f"… {len(calls) - MAX_CALLS:,} more"]
    return Outcome(found.fate, _why(found, execution), tuple(marks), _scores(chunks, len(texts)), tuple(calls))


def _mark(
    line: Mapping[str, Any],
    texts: Sequence[str],
    open_line: int | None,
    chunks: Sequence[Mapping[str, Any]],
    below: float,
) -> Mark:
    number, replacement = int(line["line_number"]), line["replacement"]
    original = texts[number]
    call, score = explain(line, original, chunks, below)
    pieces = None
    if replacement is not None:
        # For a line that continues, the end of its replacement would look like a change.
        pieces = (("same", original),) if number == open_line else compared(original, replacement)
        more = 0 if number == open_line else sum(len(text) for _, text in pieces) - MAX_LINE
        pieces = tuple((kind, clean(text)) for kind, text in cut(pieces, MAX_LINE))
        if more > 0:
            pieces = (*pieces, ("rest", f" … {more:,} more characters of both lines"))
    return Mark(number, line["operation"], call, score, pieces)


def _scores(chunks: Sequence[Mapping[str, Any]], shown: int) -> tuple[float | None, ...]:
    scores: list[float | None] = [None] * shown
    for chunk in chunks:
        for number, score in enumerate(chunk["line_scores"] or (), chunk["line_start"] or 0):
            if number < shown and score is not None:
                scores[number] = round(score, 3)
    return tuple(scores) if any(score is not None for score in scores) else ()


def _why(found: Found, execution: Mapping[str, Any]) -> str:
    """One sentence on the document's fate."""
    if found.refined is not None:
        return _kept(found)
    if found.dropped is not None:
        stage, reason, score = (found.dropped[name] for name in ("stage", "reason", "keep_score"))
        if reason == "keep_score" and score is not None:
            because = f"its keep_score {score:.2f} is below {float(execution['drop_document_below']):g}"
        else:
            because = REASONS.get(reason, clean(str(reason)))
        return f"Dropped in the {stage} stage: {because}."
    if found.quarantined is not None:
        error, message = (clean(found.quarantined[name] or "") for name in ("error_class", "message"))
        said = f" ({shortened(message, _MAX_NAME)})" if message and message != error else ""
        return f"In quarantine: {error}{said}."
    return "Not in this version."


def _kept(found: Found) -> str:
    assert found.refined is not None, "it is kept"
    removed, rewritten, guard = (found.refined[name] for name in ("n_lines_removed", "n_lines_rewritten", "guard"))
    parts = [
        f"{n:,} {'line' if n == 1 else 'lines'} {what}"
        for n, what in ((removed, "removed"), (rewritten, "rewritten"))
        if n
    ]
    done = " and ".join(parts) or "nothing changed"
    held = f"; a guard cancelled a program ({clean(guard)})" if guard else ""
    scores = (f"{p['keep_score']:.2f}" for p in found.programs if p["keep_score"] is not None)
    scored = next((f" Its keep_score is {score}." for score in scores), "")
    return f"Kept, {done}{held}.{scored}"
