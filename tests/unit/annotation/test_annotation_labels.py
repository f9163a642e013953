"""From annotations to labels: answers merged, limits, and a split by site."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prox_spark.annotation.labels import document_label, is_validation, line_labels, merge, page_labels
from prox_spark.annotation.prompts import PROGRAM_TASKS
from prox_spark.programs import Call, Program, parse, render

LINES = ["Home | News", "More", "The tide came in. [edit]", "[edit]", "(c) 2021"]


def row(
    task: str, *calls: Call, status: str = "ok", chunk: int | None = 0, start: int = 0, end: int = 4
) -> dict[str, Any]:
    names = ("operation", "line_start", "line_end", "source", "target", "outcome")
    structs = [{name: getattr(call, name) for name in names} for call in calls]
    where = {"chunk": chunk, "line_start": start, "line_end": end}
    return {"task": task, "status": status, "calls": structs, "edu": None, "format": None, **where}


def remove(start: int, end: int) -> Call:
    return Call("remove_lines", start, end)


def page(*rows: dict[str, Any], limit: float = 1.0) -> Any:
    return page_labels("\n".join(LINES), rows, limit)


GOOD = (row("navigation", remove(0, 0)), row("links", remove(1, 1)), row("footer", remove(4, 4)))


def test_the_answers_of_the_three_tasks_are_one_program() -> None:
    found = page(*GOOD)
    assert (found.fate, found.keep) == ("labelled", (0, 0, 1, 1, 0))
    (program,) = found.programs
    assert (program.line_start, program.line_end) == (0, 4)
    assert parse(program.output).calls == (remove(0, 1), remove(4, 4))


def test_nothing_to_remove_is_said_by_keep_chunk() -> None:
    found = page(*(row(task) for task in PROGRAM_TASKS))
    assert (found.keep, found.programs[0].output) == ((1,) * 5, "keep_chunk()")


def test_an_edit_counts_where_its_string_stays_and_a_line_of_which_nothing_is_left_goes() -> None:
    edit = Call("normalize", source="[edit]", target="")
    other = Call("normalize", source="[edit]", target="x")
    gone = Call("normalize", source="News", target="")
    merged = merge([remove(0, 0), edit, other, gone], LINES, 0)
    assert merged.calls == (remove(0, 0), edit)
    assert line_labels(merged, LINES, 0) == [0, 1, 1, 0, 1]


def test_chunks_have_programs_of_their_own_and_lines_of_no_chunk_stay() -> None:
    first = [row(task, remove(0, 0), start=0, end=1) for task in PROGRAM_TASKS]
    second = [row(task, remove(4, 4), chunk=1, start=3, end=4) for task in PROGRAM_TASKS]
    found = page(*second, *first)
    assert found.keep == (0, 1, 1, 1, 0)
    assert [(one.line_start, one.line_end) for one in found.programs] == [(0, 1), (3, 4)]


@pytest.mark.parametrize("status", ["refused", "malformed", "failed"])
def test_one_answer_that_is_no_use_costs_the_page(status: str) -> None:
    assert page(*GOOD[:2], row("footer", status=status)).fate == "incomplete"


def test_a_task_without_a_row_costs_the_page() -> None:
    assert page(*GOOD[:2]).fate == page().fate == "incomplete"


def test_a_page_that_nothing_was_asked_about_is_skipped() -> None:
    assert page(*(row(task, status="skipped", chunk=None) for task in PROGRAM_TASKS)).fate == "skipped"
    assert page_labels(None, [], 1.0).fate == "skipped"


def test_a_page_that_would_lose_more_than_the_limit_is_no_training_page() -> None:
    # 6 of 12 words.
    assert page(*GOOD, limit=0.5).fate == "labelled"
    assert page(*GOOD, limit=0.49).fate == "over_limit"


def test_words_that_edits_remove_count_too() -> None:
    edit = Call("normalize", source="The tide came in.", target="")
    rows = [row(task, *([edit] if task == PROGRAM_TASKS[0] else [])) for task in PROGRAM_TASKS]
    # 4 of 12 words; the line stays.
    assert page(*rows, limit=0.34).fate == "labelled"
    assert page(*rows, limit=0.33).fate == "over_limit"


def test_a_documents_label_needs_usable_scores() -> None:
    scores = {"task": "scores", "status": "ok", "edu": 2, "format": 4}
    assert document_label([*GOOD, scores]) == (2, 4, 1)
    assert document_label([{**scores, "format": 3}]) == (2, 3, 0)
    assert document_label([{**scores, "status": "refused"}]) is None
    assert document_label([]) is None


def test_a_site_is_on_one_side_and_sides_have_their_share() -> None:
    sites = [f"http://site-{n}.example" for n in range(1000)]
    sides = [is_validation("d", f"{site}/a", 0, 0.2) for site in sites]
    assert sides == [is_validation("e", f"{site}/b?c=d", 0, 0.2) for site in sites]
    assert 150 < sum(sides) < 250
    assert sides != [is_validation("d", f"{site}/a", 1, 0.2) for site in sites]
    assert not any(is_validation("d", site, 0, 0.0) for site in sites)
    for nowhere in (None, "", "http://[bad", "no address"):
        assert is_validation("d", nowhere, 0, 0.5) == is_validation("d", None, 0, 0.5)
    with_scheme = [is_validation("d", f"https://site-{n}.example/a", 0, 0.2) for n in range(1000)]
    assert with_scheme == [is_validation("e", f"site-{n}.example/b", 0, 0.2) for n in range(1000)]


calls = st.one_of(
    st.tuples(st.integers(5, 9), st.integers(5, 9)).map(lambda pair: Call("remove_lines", min(pair), max(pair))),
    st.tuples(st.text(), st.none() | st.text()).map(lambda pair: Call("normalize", source=pair[0], target=pair[1])),
)


@given(st.lists(calls), st.lists(st.text(alphabet=st.characters(exclude_characters="\n")), min_size=5, max_size=5))
def test_a_merged_program_is_read_as_it_is_written_and_removes_what_any_removed(
    given: list[Call], lines: list[str]
) -> None:
    given = [call for call in given if "\n" not in (call.target or "")]
    merged = merge(given, lines, 5)
    assert all(call.outcome == "ok" for call in merged.calls)
    assert parse(render(merged)) == merged != Program()
    ranges = [range(c.line_start or 0, (c.line_end or 0) + 1) for c in given if c.operation == "remove_lines"]
    removed = {number for one in ranges for number in one}
    labels = line_labels(merged, lines, 5)
    assert all(label == 0 for number, label in enumerate(labels, 5) if number in removed)
    starts = [call.line_start for call in merged.calls if call.operation == "remove_lines"]
    assert starts == sorted(set(starts), key=lambda start: start or 0)
