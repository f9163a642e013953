"""A sampled document as it is shown: its class, its reason, its marks, and what is not shown of it."""

from typing import Any

import pytest
import report_values as values

from prox_spark.reporting.documents import (
    IN_REPORT,
    MAX_CALLS,
    MAX_LINE,
    Found,
    ReportDocument,
    change,
    document,
)

QUARANTINED = Found(quarantined={"error_class": "ChunkFailed", "message": "ChunkFailed"})
SHORT = Found(dropped={"stage": "chunk", "reason": "too_short", "keep_score": 0.9})
GUARDED = Found(refined=values.kept(2, 1) | {"guard": "loop"})
EMPTY = {"stage": "document", "line_start": None, "line_end": None, "calls": None, "line_scores": None}
KEPT = values.found([])
EDITED = values.found([values.line(0)], text_hash=2)


def of(text: str, *found: Found) -> ReportDocument:
    return document(values.row(text), found, [values.TO] * len(found))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([KEPT], "untouched"),
        ([EDITED], "edited"),
        ([values.DROPPED], "dropped"),
        ([QUARANTINED], "quarantined"),
        ([Found()], "absent"),
        ([KEPT, KEPT], "unchanged"),
        ([KEPT, EDITED], "changed"),
        ([EDITED, values.DROPPED], "newly_dropped"),
        ([KEPT, QUARANTINED], "newly_dropped"),
        ([values.DROPPED, KEPT], "newly_kept"),
        ([values.DROPPED, QUARANTINED], "dropped_in_both"),
        ([Found(), KEPT], "added"),
        ([Found(), values.DROPPED], "added"),
        ([KEPT, Found()], "removed"),
    ],
)
def test_change_classes(found: list[Found], expected: str) -> None:
    assert change(found) == expected


def test_a_short_document_is_shown_whole() -> None:
    shown = of("a\nb\n", KEPT)
    assert [line.text for line in shown.lines] == ["a", "b", ""]
    assert not any(line.more for line in shown.lines)
    assert shown.hidden == ""


@pytest.mark.parametrize(
    ("text", "lines", "more", "hidden"),
    [
        ("x" * 10_000_000, 1, "… the line continues", "Shown: the first 20,000 of 10,000,000 characters."),
        ("x" * 3000, 1, "… 1,000 more characters", ""),
        ("\n" * 5000, IN_REPORT.lines, "", "Shown: the first 400 of 5,001 lines."),
        (
            "line\n" * 1_000_000,
            IN_REPORT.lines,
            "",
            "Shown: the first 400 of 1,000,001 lines, the first 20,000 of 5,000,000 characters.",
        ),
    ],
)
def test_what_is_not_shown_is_said(text: str, lines: int, more: str, hidden: str) -> None:
    shown = of(text, KEPT)
    assert len(shown.lines) == lines
    assert all(len(line.text) <= MAX_LINE for line in shown.lines)
    assert sum(len(line.text) for line in shown.lines) <= IN_REPORT.characters
    assert shown.lines[-1].more == more
    assert shown.hidden == hidden


def test_the_end_of_a_line_that_goes_on_is_no_change() -> None:
    text = "a " * 50_000
    shown = of(text, values.found([values.line(0, "normalize", to=text.replace("a ", "b ")[: IN_REPORT.characters])]))
    assert shown.outcomes[0].marks[0].pieces == (("same", text[:MAX_LINE]),)


def test_a_rewritten_line_that_is_cut_says_so() -> None:
    text = "a" * (MAX_LINE - 500) + " end"
    shown = of(text, values.found([values.line(0, "normalize", to="b" * (MAX_LINE - 100))]))
    pieces = shown.outcomes[0].marks[0].pieces
    assert pieces is not None
    *kept, (kind, note) = pieces
    assert sum(len(piece) for _, piece in kept) == MAX_LINE
    assert (kind, note) == ("rest", f" … {len(text) + MAX_LINE - 100 - MAX_LINE:,} more characters of both lines")


def test_marks_beyond_what_is_shown_are_left_out_but_their_operations_count() -> None:
    log = [values.line(0), values.line(100_000, "normalize", to="x")]
    shown = of("a\nb", values.found(log, values.program()))
    assert [mark.line for mark in shown.outcomes[0].marks] == [0]
    assert shown.operations == ("normalize", "remove_lines")


def test_scores_stand_at_the_lines_of_their_chunk() -> None:
    chunks = [values.program(start=1, end=2, scores=[0.25, 0.5]), values.program(start=3, end=9, scores=[0.75] * 7)]
    assert of("a\nb\nc\nd", values.found([], *chunks)).outcomes[0].scores == (None, 0.25, 0.5, 0.75)
    assert of("a", KEPT).outcomes[0].scores == ()


def test_many_calls_are_counted() -> None:
    calls = [values.call("remove_lines", n, n) for n in range(MAX_CALLS + 5)]
    listed = of("a", values.found([], values.program(*calls))).outcomes[0].calls
    assert len(listed) == MAX_CALLS + 1
    assert listed[-1] == "… 5 more"


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (KEPT, "Kept, nothing changed."),
        (EDITED, "Kept, 1 line removed."),
        (GUARDED, "Kept, 2 lines removed and 1 line rewritten; a guard cancelled a program (loop)."),
        (values.DROPPED, "Dropped in the document stage: its keep_score 0.12 is below 0.5."),
        (
            Found(refined=values.kept(), programs=[{"keep_score": 0.8} | EMPTY]),
            "Kept, nothing changed. Its keep_score is 0.80.",
        ),
        (SHORT, "Dropped in the chunk stage: its programs leave too few words (too_short)."),
        (QUARANTINED, "In quarantine: ChunkFailed."),
        (Found(), "Not in this version."),
    ],
)
def test_one_sentence_says_why(found: Found, why: str) -> None:
    assert of("a", found).outcomes[0].why == why


def test_names_are_clean_and_short() -> None:
    about: dict[str, Any] = values.row("a", "\u202e" + "i" * 1000, None, "line\nbreak\x00")
    shown = document(about, [KEPT], [values.TO])
    assert shown.doc_id.startswith("[U+202E]iii")
    assert len(shown.doc_id) == 300
    assert (shown.source, shown.url) == ("", "line break␀")
