"""A part of a corpus stands for the whole: its places lie all over it, and what was read of a file is known."""

import gzip
import json
import random
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prox_spark.corpora.files import FileInfo, list_files
from prox_spark.ingestion.sample import SAMPLED, Part, choose_parts, group_parts, read_part


def files(*sizes: int) -> list[FileInfo]:
    return [FileInfo(f"/corpus/{number:04}", size, datetime.now(UTC)) for number, size in enumerate(sizes)]


def test_a_corpus_within_the_budget_is_read_in_full() -> None:
    corpus = files(10, 0, 90)
    assert choose_parts(corpus, 100) == [Part(file, file.size) for file in corpus]
    assert choose_parts([], 100) == []


def test_places_are_spread_over_files_of_equal_size() -> None:
    parts = choose_parts(files(*[1_000_000] * 640), 64 * 50_000)
    assert {part.size for part in parts} == {50_000}
    assert [int(part.file.path[-4:]) for part in parts] == list(range(5, 640, 10))


@pytest.mark.parametrize("sizes", [[10] * 100_000, [1_000_000], [600_000, *[4_000] * 100]])
def test_about_the_budget_is_read_whatever_the_files_sizes(sizes: list[int]) -> None:
    parts = choose_parts(files(*sizes), 64_000)
    assert sum(part.size for part in parts) == pytest.approx(64_000, rel=0.1)
    assert all(0 < part.size <= part.file.size for part in parts)
    assert len({part.file.path for part in parts}) == len(parts)


def test_a_large_file_among_small_ones_is_read_by_its_share_of_the_bytes() -> None:
    large, *small = choose_parts(files(600_000, *[4_000] * 100), 64_000)
    assert large.size == pytest.approx(38_400, rel=0.05)
    assert sum(part.size for part in small) == pytest.approx(25_600, rel=0.05)


@pytest.mark.parametrize(("count", "size", "tasks"), [(5_000, 700, 4), (100, 16 << 20, 25), (3, 10, 3), (0, 0, 0)])
def test_small_files_cost_their_bytes_not_a_task_each(count: int, size: int, tasks: int) -> None:
    parts = [Part(file, size) for file in files(*[size] * count)]
    groups = group_parts(parts, cores=4)
    assert len(groups) == tasks
    assert sorted(part.file.path for group in groups for part in group) == [part.file.path for part in parts]


def pages(count: int, seed: int = 0) -> list[str]:
    """Texts that compress little, of 600 to 1,400 characters."""
    draw = random.Random(seed)
    return [f"{number} " + draw.randbytes(draw.randint(300, 700)).hex() for number in range(count)]


def read(path: Path, share: float, format_name: str) -> tuple[list[str], float]:
    """The texts of a file's part and the share of its bytes that they took."""
    (file,) = list_files(str(path))
    batches = list(read_part(Part(file, int(share * file.size)), format_name))
    assert all(batch.schema.equals(SAMPLED) for batch in batches)
    rows = [row for batch in batches for row in batch.to_pylist()]
    assert [row["read"] is None for row in rows] == [True] * (len(rows) - 1) + [False]
    assert rows[-1]["text"] is None
    return [row["text"] for row in rows[:-1]], rows[-1]["read"] / file.size


@pytest.mark.parametrize("name", ["pages.jsonl", "pages.json.gz"])
def test_what_was_read_of_a_json_file_tells_how_many_records_it_has(tmp_path: Path, name: str) -> None:
    path, texts = tmp_path / name, pages(12_000)
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()
    path.write_bytes(gzip.compress(lines, 1) if name.endswith(".gz") else lines)

    found, share = read(path, 0.3, "json")

    assert found == texts[: len(found)]
    assert 0.3 <= share < 0.45
    assert len(found) / share == pytest.approx(len(texts), rel=0.02)


def test_a_part_of_a_parquet_file_is_counted_in_rows(tmp_path: Path) -> None:
    path, texts = tmp_path / "pages.parquet", pages(1_000)
    pq.write_table(pa.table({"text": texts}), path)

    found, share = read(path, 0.5, "parquet")

    assert (found, share) == (texts[:500], pytest.approx(0.5))


def test_a_whole_file_gives_every_record_that_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "pages.jsonl"
    path.write_text('{"text": "one"}\nbroken\n{"text": null}\n{"text": ""}\n{"text": "two"}')
    assert read(path, 1.0, "json") == (["one", "", "two"], 1.0)

    (tmp_path / "page.txt").write_text("a page")
    assert read(tmp_path / "page.txt", 1.0, "text") == (["a page"], 1.0)
