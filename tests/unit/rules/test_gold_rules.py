"""How well the line rules of C4 and RefinedWeb do on labelled pages, as ../shared/gold/README.md states it for them."""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from prox_spark.rules.catalogue import select_rules
from prox_spark.rules.programs import line_programs

CALL = re.compile(r"remove_lines\(start=(\d+), end=(\d+)\)")


def records(file: Path) -> Iterator[dict[str, Any]]:
    with file.open("rb") as opened:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(opened), encoding="utf-8"):
            yield json.loads(line)


@pytest.mark.parametrize(("name", "known"), [("c4", 0.832), ("refinedweb", 0.798)])
def test_line_rules_reach_their_known_word_f1_on_labelled_pages(shared: Path, name: str, known: float) -> None:
    pages = list(records(shared / "gold" / "dev.jsonl.zst"))
    programs = line_programs([page["raw_content"] for page in pages], select_rules("chunk", [name]))
    kept_right = kept = should = 0
    for page, program in zip(pages, programs, strict=True):
        removed = {n for first, last in CALL.findall(program) for n in range(int(first), int(last) + 1)}
        lines = page["raw_content"].split("\n")
        for number, (line, gold) in enumerate(zip(lines, page["gold_keep"], strict=True)):
            count = len(line.split())
            kept += count * (number not in removed)
            should += count * gold
            kept_right += count * (gold and number not in removed)
    precision, recall = kept_right / kept, kept_right / should
    assert 2 * precision * recall / (precision + recall) == pytest.approx(known, abs=0.01)
