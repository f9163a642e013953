"""The cases of ../shared/cases/corpora: inputs that came out wrong once, each with its right value."""

from pathlib import Path

import pytest
from corpora_helpers import errors, read, texts


@pytest.fixture(scope="module")
def cases(shared: Path) -> Path:
    folder = shared / "cases" / "corpora"
    if not folder.is_dir():
        pytest.skip("the cases (../shared/cases/corpora) are not beside this checkout")
    return folder


def pages(path: Path) -> list[str]:
    """The texts of an archive in which nothing may be unreadable."""
    rows = read(path, "warc")
    assert errors(rows) == []
    assert [row["position"] for row in rows] == list(range(len(rows)))
    return [text.strip() for text in texts(rows)]


def test_charset_labels_mean_what_the_encoding_standard_says(cases: Path) -> None:
    assert pages(cases / "warc-charset-labels/in.warc.gz") == [
        "朱镕基 喆 中文 囧",
        "①②③ ㈱ 髙橋 日本語",
        "똠방각하 한국어",
        "繁體 裏 嘅 喺",
        "\u201csmart\u201d \u2013 €5…",
        "ğış \u201cx\u201d",
        "ก \u201cข\u201d",
        "中文 𠀀",
        "日本語 ①",
        "C:\\new\\table",
        "a +ADw- b",
        "plain words",
    ]


def test_codings_that_do_not_fit_leave_the_body(cases: Path) -> None:
    assert pages(cases / "warc-content-encoding/in.warc.gz") == ["hello body words"] * 10
    assert pages(cases / "warc-content-encoding/four-a-member.warc.gz") == [f"page {n}" for n in range(8)]


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("warc-empty-gzip-member/first.warc.gz", 2),
        ("warc-empty-gzip-member/middle.warc.gz", 3),
        ("warc-lf-line-ends/http-lf.warc.gz", 2),
        ("warc-lf-line-ends/warc-lf.warc", 3),
        ("warc-lower-case-field-names/in.warc.gz", 3),
        ("warc-no-content-type/in.warc.gz", 4),
        ("warc-plain-first-record-bad/bom.warc", 4),
        ("warc-zst-dictionary/in.warc.zst", 3),
    ],
)
def test_every_page_is_read(cases: Path, name: str, count: int) -> None:
    assert pages(cases / name) == [f"page {n}" for n in range(count)]


def test_one_stray_byte_costs_one_character(cases: Path) -> None:
    rows = read(cases / "warc-one-stray-byte/in.warc.gz", "warc")
    assert errors(rows) == []
    for text in texts(rows):
        assert text.startswith("这是一个很长的中文网页")
        assert text.count("\ufffd") == 1
    assert all(float(row["metadata"]["broken_share"]) > 0 for row in rows)


def test_garbage_in_front_of_a_plain_archive_costs_no_page(cases: Path) -> None:
    rows = read(cases / "warc-plain-first-record-bad/garbage.warc", "warc")
    assert [text.strip() for text in texts(rows)] == ["page 0", "page 1", "page 2"]
    assert errors(rows) == [(0, "BrokenFile")]
