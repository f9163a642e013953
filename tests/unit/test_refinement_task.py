"""One batch of documents with their programs: who is refined, dropped, quarantined, and what is logged."""

from typing import Any

import pyarrow as pa
import pytest

from prox_spark.config.models import ExecutionConfig, FuseConfig
from prox_spark.errors import FuseError
from prox_spark.refinement.fuse import check_fuse
from prox_spark.refinement.parts import PARTS, execute_part
from prox_spark.refinement.task import CHUNK_PROGRAM, ExecutionParameters, columns_in, execute_documents

METADATA = ("source", "url", "metadata")
WORDS = "one two three four five six seven eight nine ten eleven twelve"
TEXT = f"Home\n{WORDS}\n{WORDS}\nFooter"
INPUT = pa.schema(
    [
        *[(name, pa.string()) for name in ("doc_id", "source", "url", "text")],
        ("unit", pa.int64()),
        ("metadata", pa.map_(pa.string(), pa.string())),
        ("keep_score", pa.float64()),
        ("chunks", pa.list_(CHUNK_PROGRAM)),
    ]
)


def chunk(output: str | None, **fields: Any) -> dict[str, Any]:
    return {"chunk": 0, "line_start": 0, "line_end": 3, "line_offset": 0, "output": output, "status": "ok", **fields}


def run(documents: list[dict[str, Any]], **settings: Any) -> list[dict[str, Any]]:
    execution = ExecutionConfig(**settings)
    below, on_failed = execution.drop_document_below, execution.on_failed_chunk
    plan = ExecutionParameters(
        execution.mode, execution.settings(), below, on_failed, document_refiner="d", chunk_refiner="c"
    )
    rows = [{"doc_id": str(i), "text": TEXT, "keep_score": 1.0, "chunks": [], **row} for i, row in enumerate(documents)]
    # A slice, as Arrow hands them over: offsets must be honoured.
    padded = pa.RecordBatch.from_pylist([{"doc_id": "before", "text": "x"}, *rows], INPUT).slice(1)
    rows = [row for batch in execute_documents(iter([padded]), plan) for row in batch.to_pylist()]
    found = {row["doc_id"]: {**row, "lines": []} for row in rows if row["kind"] == "document"}
    for row in rows:
        if row["kind"] == "line":
            found[row["doc_id"]]["lines"].append(row)
    return list(found.values())


@pytest.mark.parametrize("part", PARTS)
def test_each_part_needs_no_more_than_it_is_given(part: str) -> None:
    handed_on = METADATA if part == "refined" else ()
    batch = pa.RecordBatch.from_pylist(
        [
            {"doc_id": "a", "text": TEXT, "keep_score": 1.0, "chunks": [chunk("remove_lines(start=0, end=0)")]},
            {"doc_id": "b", "text": TEXT, "keep_score": 0.0, "chunks": []},
            {"doc_id": "c", "text": TEXT, "keep_score": None, "chunks": []},
        ],
        INPUT,
    ).select(columns_in(handed_on))
    execution = ExecutionConfig()
    plan = ExecutionParameters(
        execution.mode, execution.settings(), 0.5, "keep", document_refiner="d", chunk_refiner="c"
    )
    (rows,) = execute_part(iter([batch]), plan, part)
    assert rows.schema == PARTS[part]
    # All documents are counted where the refined ones are written.
    assert rows.num_rows == (3 if part == "refined" else 1)


def test_every_document_has_one_fate() -> None:
    rows = run(
        [
            {"chunks": [chunk("remove_lines(start=0, end=0)")]},
            {"keep_score": 0.2},
            {"text": " \n\t", "keep_score": None},
            {"keep_score": None},
            {"chunks": [chunk("drop_doc()")]},
            {"chunks": None},
        ]
    )
    assert [(row["fate"], row["stage"], row["reason"]) for row in rows] == [
        ("refined", None, None),
        ("dropped", "document", "keep_score"),
        ("dropped", "document", "empty"),
        ("quarantined", "document", "DocumentStageFailed"),
        ("dropped", "chunk", "program"),
        ("refined", None, None),
    ]
    assert [row["text"] is None for row in rows] == [False, True, True, True, True, False]
    assert rows[5]["text"] == TEXT


def test_the_log_belongs_to_its_document_and_names_replacements() -> None:
    rows = run(
        [
            {},
            {"chunks": [chunk('remove_lines(start=3, end=3)\nnormalize(source_str="one ")')]},
            {"keep_score": 0.0},
            {"chunks": [chunk("remove_lines(start=0, end=0)")]},
        ]
    )
    logged = [[(line["line_number"], line["operation"], line["replacement"]) for line in row["lines"]] for row in rows]
    shorter = WORDS.removeprefix("one ")
    assert logged == [
        [],
        [(1, "normalize", shorter), (2, "normalize", shorter), (3, "remove_lines", None)],
        [],
        [(0, "remove_lines", None)],
    ]
    assert (rows[1]["n_lines"], rows[1]["n_lines_removed"], rows[1]["n_lines_rewritten"]) == (4, 1, 2)
    assert rows[1]["n_characters"] + rows[1]["n_characters_removed"] == len(TEXT)


def test_line_scores_and_confidences_obey_their_thresholds() -> None:
    scored = {"chunks": [chunk(None, line_scores=[0.1, 0.9, 0.4, 0.6])]}
    doubtful = {"chunks": [chunk("remove_lines(start=0, end=0)\nremove_lines(start=3, end=3)", confidences=[0.3, 0.9])]}
    assert [line["line_number"] for line in run([scored])[0]["lines"]] == [0, 2]
    assert [line["line_number"] for line in run([scored], drop_line_below=0.2)[0]["lines"]] == [0]
    (row,) = run([doubtful], min_confidence=0.5)
    assert [(line["line_number"], round(line["score"], 3)) for line in row["lines"]] == [(3, 0.9)]


def test_chunk_numbering_is_shifted_to_the_document() -> None:
    (row,) = run([{"chunks": [chunk("remove_lines(start=0, end=0)", line_start=2, line_end=3, line_offset=2)]}])
    assert [line["line_number"] for line in row["lines"]] == [2]


def test_compat_joins_the_programs_of_a_document() -> None:
    programs = [chunk("remove_lines(start=0, end=0)"), chunk("remove_lines(start=3, end=3)", chunk=1)]
    rows = run([{"chunks": programs}, {"text": " ", "chunks": programs}], mode="compat")
    assert rows[0]["text"] == f"{WORDS}\n{WORDS}"
    # The published executor divides by zero on a text without words; a blank document never reaches it.
    assert (rows[1]["fate"], rows[1]["reason"]) == ("dropped", "empty")


def test_a_failed_chunk_may_quarantine_its_document() -> None:
    failed = {"chunks": [chunk(None, status="failed"), chunk("remove_lines(start=0, end=0)", chunk=1)]}
    assert run([failed])[0]["fate"] == "refined"
    rows = run([{}, failed], on_failed_chunk="quarantine")
    assert [(row["fate"], row["reason"]) for row in rows] == [("refined", None), ("quarantined", "ChunkFailed")]


def test_equal_logs_have_equal_hashes_and_no_others() -> None:
    removed, scored = "remove_lines(start=0, end=0)", [0.1, 0.9, 0.9, 0.9]
    programs = [
        [],
        [chunk(removed)],
        [chunk(None, line_scores=scored)],
        [chunk("keep_chunk()", line_end=1), chunk(None, chunk=1, line_scores=scored)],
        [chunk("remove_lines(start=3, end=3)")],
        [chunk('normalize(source_str="Home")')],
        [chunk('normalize(source_str="Home", target_str="House")')],
        [chunk('remove_str(0, "Home")')],
    ]
    rows = run([{"chunks": chunks} for chunks in [*programs, [chunk("drop_doc()")], *programs[4:]]])
    nothing, *hashes = [row["log_hash"] for row in rows]
    assert nothing == 0
    # By a program, by a score, by another chunk: the same line went.
    assert hashes[0] == hashes[1] == hashes[2]
    assert len({0, *hashes[2:7]}) == 6
    # The place in the batch does not matter, nor that a dropped document stands between.
    assert hashes[8:] == hashes[3:7]


COUNTS = {"refined": 900, "documents": 1000, "characters_kept": 5, "characters": 1000, "failed_chunks": 0, "chunks": 10}


def test_the_fuse_names_the_share_that_is_out_of_bounds() -> None:
    with pytest.raises(FuseError, match=r"kept_characters is 0\.0050, outside fuse\.kept_characters \[0\.01, 1\.0\]"):
        check_fuse(FuseConfig(), COUNTS, "nightly")


def test_the_fuse_leaves_small_refinements_and_those_in_bounds_alone() -> None:
    check_fuse(FuseConfig(), {**COUNTS, "documents": 999}, "nightly")
    check_fuse(FuseConfig(kept_characters=(0.001, 1.0)), COUNTS, "nightly")


def test_the_fuse_blows_on_failed_chunks() -> None:
    with pytest.raises(FuseError, match=r"failed_chunks is 0\.9000"):
        check_fuse(FuseConfig(kept_characters=(0.0, 1.0)), {**COUNTS, "failed_chunks": 9}, "nightly")
