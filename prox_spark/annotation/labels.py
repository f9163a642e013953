"""From a document's annotations to its labels: keep or drop it, which lines to keep, and the programs that do this."""

import hashlib
import re
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from prox_spark.annotation.answers import keep_document
from prox_spark.annotation.prompts import PROGRAM_TASKS, SCORES
from prox_spark.programs import Call, Program, parse, render

Fate = Literal["labelled", "incomplete", "over_limit", "skipped"]

_HOST = re.compile(r"[\w-]+(\.[\w-]+)+(:\d+)?(/|$)")

Row = Mapping[str, Any]
"""A row of ``annotations``."""


@dataclass(frozen=True, slots=True)
class ChunkProgram:
    """The program for a chunk, with line numbers of the document, in the form that ``execution.execute_batch`` takes."""

    line_start: int
    line_end: int
    output: str


@dataclass(frozen=True, slots=True)
class PageLabels:
    """A page's labels, 1 to keep a line and 0 to remove it, and each chunk's merged program; both for ``labelled`` pages only.

    ``incomplete``: an answer about one of its chunks is missing or unusable; ``over_limit``: too much would be removed;
    ``skipped``: no request was sent.
    """

    fate: Fate
    keep: tuple[int, ...] = ()
    programs: tuple[ChunkProgram, ...] = ()


def document_label(rows: Iterable[Row]) -> tuple[int, int, int] | None:
    """Edu score, Format score and 1 to keep the document or 0 to drop it; None without a usable answer."""
    for row in rows:
        if row["task"] == SCORES and row["status"] == "ok":
            return row["edu"], row["format"], int(keep_document(row["edu"], row["format"]))
    return None


def page_labels(text: str | None, rows: Sequence[Row], max_removed_share: float) -> PageLabels:
    """The labels of a page, from its rows of the tasks about chunks."""
    mine = [row for row in rows if row["task"] in PROGRAM_TASKS]
    asked = [row for row in mine if row["status"] != "skipped"]
    if text is None or (mine and not asked):
        return PageLabels("skipped")
    by_chunk: dict[int, dict[str, Row]] = {}
    for row in asked:
        by_chunk.setdefault(row["chunk"], {})[row["task"]] = row
    usable = all(
        len(chunk) == len(PROGRAM_TASKS) and all(row["status"] == "ok" for row in chunk.values())
        for chunk in by_chunk.values()
    )
    if not by_chunk or not usable:
        return PageLabels("incomplete")
    lines = text.split("\n")
    keep, left = [1] * len(lines), list(lines)
    programs = []
    for _, chunk in sorted(by_chunk.items()):
        first, last = (chunk[PROGRAM_TASKS[0]][name] for name in ("line_start", "line_end"))
        calls = [call for task in PROGRAM_TASKS for call in map(stored_call, chunk[task]["calls"])]
        merged = merge(calls, lines[first : last + 1], first)
        programs.append(ChunkProgram(first, last, render(merged)))
        keep[first : last + 1] = line_labels(merged, lines[first : last + 1], first)
        left[first : last + 1] = [_edited(merged, line) for line in lines[first : last + 1]]
    words = sum(len(line.split()) for line in lines)
    kept = sum(len(line.split()) for line, label in zip(left, keep, strict=True) if label)
    if words - kept > max_removed_share * words:
        return PageLabels("over_limit")
    return PageLabels("labelled", tuple(keep), tuple(programs))


def merge(calls: Iterable[Call], lines: Sequence[str], first: int) -> Program:
    """Merge several programs for the same chunk (``lines``, the document's from number ``first`` on).

    Ranges are merged, in order. Of several edits of the same string the first is kept, if the string is still in a line that
    is kept. Without any call, the result is ``keep_chunk()``. ``parse`` reads the same program from the output of ``render``.
    """
    calls = list(calls)
    removed = {number for call in calls if call.operation == "remove_lines" for number in _range(call)}
    left = [line for number, line in enumerate(lines, first) if number not in removed]
    merged = [Call("remove_lines", start, end) for start, end in _ranges(sorted(removed))]
    edits: dict[str, Call] = {}
    for call in calls:
        if call.operation == "normalize" and call.source and any(call.source in line for line in left):
            edits.setdefault(call.source, Call("normalize", source=call.source, target=call.target))
    return parse(render(Program((*merged, *edits.values()) or (Call("keep_chunk"),))))


def line_labels(program: Program, lines: Sequence[str], first: int) -> list[int]:
    """1 for each line of the chunk that is kept, 0 for a line that is removed or left empty by edits."""
    removed = {number for call in program.calls if call.operation == "remove_lines" for number in _range(call)}
    labels = []
    for number, line in enumerate(lines, first):
        emptied = bool(line.strip()) and not _edited(program, line).strip()
        labels.append(0 if number in removed or emptied else 1)
    return labels


def _edited(program: Program, line: str) -> str:
    """The line after the program's edits."""
    for call in program.calls:
        if call.operation == "normalize" and call.source:
            line = line.replace(call.source, call.target or "")
    return line


def stored_call(row: Mapping[str, Any]) -> Call:
    """The call in a struct of the column ``calls``."""
    return Call(row["operation"], row["line_start"], row["line_end"], row["source"], row["target"], row["outcome"])


def is_validation(doc_id: str, url: str | None, seed: int, share: float) -> bool:
    """Whether a document's site is in the validation ``share``; without a site, the document counts as one.

    URLs may lack their scheme.
    """
    whole = url or ""
    try:
        site = urllib.parse.urlsplit(f"//{whole}" if _HOST.match(whole) else whole).hostname or doc_id
    except ValueError:
        site = doc_id
    place = int.from_bytes(hashlib.sha256(f"{seed}/{site}".encode()).digest()[:8], "big")
    return place < share * 2**64


def _range(call: Call) -> range:
    assert call.line_start is not None
    assert call.line_end is not None
    return range(call.line_start, call.line_end + 1)


def _ranges(numbers: Sequence[int]) -> Iterable[tuple[int, int]]:
    """Numbers in order as ranges without gaps."""
    start = None
    for place, number in enumerate(numbers):
        if start is None:
            start = number
        if place + 1 == len(numbers) or numbers[place + 1] != number + 1:
            yield start, number
            start = None
