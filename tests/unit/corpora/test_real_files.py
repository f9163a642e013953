"""The measurement files, with record counts taken by other means than the readers'."""

import gzip
import json
import zlib
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import zstandard
from corpora_helpers import read

from prox_spark.corpora.columns import check_columns

FILES = [
    ("formats/c4-dev.00000-of-00001.json.gz", "c4", 211),
    ("formats/redpajama-v2-dev_en_head.json.gz", "redpajama-v2", 218),
    ("formats/dclm-dev-shard_00000000.jsonl.zst", "dclm", 216),
    ("formats/fineweb-dev-000_00000.parquet", "fineweb", 213),
    ("formats/open-web-math-schema-only.parquet", "openwebmath", 10),
    ("real_samples/c4_100_domains_guardian.jsonl.gz", "dolma", 10),
    ("real_samples/c4_olmo_sample.01.json.gz", "c4", 10),
    ("real_samples/c4_olmo_sample.02.json.gz", "c4", 10),
    ("real_samples/c4_olmo_sample.03.json.gz", "c4", 10),
    ("real_samples/dolma_cc_documents_000.json.gz", "dolma", 10),
]


def plain_texts(path: Path, column: str) -> list[str]:
    if path.suffix == ".parquet":
        texts: list[str] = pq.read_table(path, columns=[column])[column].to_pylist()
        return texts
    raw = path.read_bytes()
    data = (
        gzip.decompress(raw) if path.suffix == ".gz" else zstandard.ZstdDecompressor().decompressobj().decompress(raw)
    )
    return [json.loads(line)[column] for line in data.decode().split("\n") if line]


@pytest.mark.parametrize(("name", "format_name", "count"), FILES)
def test_every_record_is_read_with_its_text_and_an_id_of_its_own(
    shared: Path, name: str, format_name: str, count: int
) -> None:
    path = shared / "gold" / name
    check_columns(str(path), format_name)
    rows = read(path, format_name)
    assert [row["text"] for row in rows] == plain_texts(path, "raw_content" if "redpajama" in name else "text")
    assert len({row["doc_id"] for row in rows}) == len(rows) == count


def test_the_common_crawl_sample_gives_its_22_pages(shared: Path) -> None:
    path = shared / "gold/real_samples/cc_sample-0000.warc.gz"
    pages = []
    rest = path.read_bytes()
    position = 0
    while rest:
        member = zlib.decompressobj(31)
        head = member.decompress(rest)[:2_000]
        if b"WARC-Type: response" in head and b"HTTP/1.1 200" in head + member.flush():
            pages.append(position)
        rest = member.unused_data
        position += 1
    rows = read(path, "warc")
    assert [row["position"] for row in rows] == pages
    assert len(pages) == 22
    assert all(row["text"] and row["url"] and row["metadata"]["status"] == "200" for row in rows)
