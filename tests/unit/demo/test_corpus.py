"""The demo corpus is what its module promises: readable by plain libraries, the same each time, invented throughout."""

import gzip
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import zstandard
from fastwarc.warc import ArchiveIterator, WarcRecordType

from prox_spark.demo.corpus import BAD_RECORDS, FILES, labels, pages, write_corpus
from prox_spark.generation.boilerplate import BOILERPLATE_PAGES

FOLDER = Path(__file__).resolve().parents[3] / "prox_spark" / "demo" / "corpus"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    return folder


@pytest.fixture(scope="module")
def json_lines(corpus: Path) -> dict[str, list[bytes]]:
    c4 = gzip.decompress((corpus / FILES["c4"]).read_bytes())
    with (corpus / FILES["dclm"]).open("rb") as file:
        dclm = zstandard.ZstdDecompressor().stream_reader(file).read()
    return {"c4": c4.splitlines(), "dclm": dclm.splitlines()}


@pytest.fixture(scope="module")
def fineweb(corpus: Path) -> list[dict[str, Any]]:
    return pq.read_table(corpus / FILES["fineweb"]).to_pylist()


@pytest.fixture(scope="module")
def warc(corpus: Path) -> list[tuple[str, str | None, int | None, str | None, bytes]]:
    """Record type, target, status, content type and body of each record."""
    found = []
    with (corpus / FILES["warc"]).open("rb") as file:
        for record in ArchiveIterator(file, record_types=WarcRecordType.any_type):
            body = record.reader.read()
            target = record.headers.get("WARC-Target-URI")
            if record.record_type == WarcRecordType.response:
                head = record.http_headers
                found.append(("response", target, head.status_code, record.http_content_type, body))
            else:
                found.append((record.headers["WARC-Type"], target, None, None, body))
    return found


def parsed(line: bytes) -> Any:
    """The JSON value, or None where the line is not JSON in UTF-8."""
    try:
        return json.loads(line.decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError):
        return None


def bad_json_records(lines: list[bytes]) -> Counter[str]:
    found: Counter[str] = Counter()
    ids: set[str] = set()
    texts: set[str] = set()
    for line in lines:
        record = parsed(line)
        text = record.get("text", 0) if isinstance(record, dict) else 0
        if record is None:
            found["malformed"] += 1
        elif text is None:
            found["null_text"] += 1
        elif not isinstance(text, str):
            found["wrong_type"] += 1
        elif not text.strip():
            found["blank"] += 1
        else:
            record_id = record.get("metadata", {}).get("WARC-Record-ID")
            found["doubled_id"] += record_id in ids
            found["same_text"] += record_id is None and text in texts
            texts.add(text)
            ids |= {record_id} if record_id else set()
    return +found


def test_two_builds_have_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    write_corpus(tmp_path / "again")
    for name in FILES.values():
        assert (corpus / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_gzip_members_carry_no_time(corpus: Path) -> None:
    for name in (FILES["c4"], FILES["warc"]):
        assert (corpus / name).read_bytes()[4:8] == bytes(4)


def test_there_are_between_220_and_260_pages_and_each_format_has_at_least_40() -> None:
    count = Counter(page.format for page in pages())
    assert 220 <= count.total() <= 260
    assert set(count) == set(FILES)
    assert min(count.values()) >= 40


def test_at_least_200_documents_can_be_read_from_the_files(
    json_lines: dict[str, list[bytes]],
    fineweb: list[dict[str, Any]],
    warc: list[tuple[str, str | None, int | None, str | None, bytes]],
) -> None:
    records = [parsed(line) for lines in json_lines.values() for line in lines]
    urls = {
        record["url"]
        for record in [*records, *fineweb]
        if isinstance(record, dict) and isinstance(record["text"], str) and record["text"].strip()
    }
    urls |= {url for _, url, status, kind, body in warc if url and status == 200 and kind == "text/html" and body}
    assert len(urls) >= 200
    assert urls == {page.url for page in pages()}


def test_json_files_hold_exactly_the_intended_bad_records(json_lines: dict[str, list[bytes]]) -> None:
    for name, lines in json_lines.items():
        assert bad_json_records(lines) == BAD_RECORDS[name], name


def test_parquet_file_holds_exactly_the_intended_bad_records(fineweb: list[dict[str, Any]]) -> None:
    ids = Counter(row["id"] for row in fineweb)
    found = {
        "null_text": sum(row["text"] is None for row in fineweb),
        "blank": sum(row["text"] is not None and not row["text"].strip() for row in fineweb),
        "doubled_id": sum(ids.values()) - len(ids),
    }
    assert found == BAD_RECORDS["fineweb"]


def test_warc_file_holds_its_info_record_and_exactly_the_intended_bad_records(
    warc: list[tuple[str, str | None, int | None, str | None, bytes]],
) -> None:
    assert warc[0][0] == "warcinfo"
    responses = warc[1:]
    assert {kind for kind, *_ in responses} == {"response"}
    found = {
        "not_html": sum(content_type != "text/html" for *_, content_type, _ in responses),
        "not_found": sum(status == 404 for _, _, status, _, _ in responses),
        "empty_body": sum(not body for *_, body in responses),
    }
    assert found == BAD_RECORDS["warc"]


def test_html_pages_have_navigation_article_footer_script_and_style(
    warc: list[tuple[str, str | None, int | None, str | None, bytes]],
) -> None:
    articles = {page.url for page in pages() if page.format == "warc" and page.kind == "article"}
    bodies = [body.decode("utf-8") for _, url, _, _, body in warc if url in articles]
    assert len(bodies) == len(articles)
    for body in bodies:
        assert all(f"<{tag}" in body for tag in ("article", "script", "style", "h1", "p"))
    assert sum("<nav" in body and "<footer" in body for body in bodies) > len(bodies) / 2


def test_no_two_pages_have_the_same_text_or_address() -> None:
    assert len({page.text for page in pages()}) == len(pages())
    assert len({page.url for page in pages()}) == len(pages())


def test_two_pages_about_the_same_subject_share_none_of_its_paragraphs() -> None:
    seen = Counter(
        line
        for page in pages()
        if page.kind == "article"
        for block in page.blocks
        if block.kind == "paragraph" and block.keep
        for line in block.lines
    )
    assert [line for line, count in seen.items() if count > 1] == []


def test_every_format_holds_chinese_and_japanese() -> None:
    found = {(page.format, page.language) for page in pages()}
    assert {(name, language) for name in FILES for language in ("zh", "ja")} <= found
    kana = re.compile("[\u3040-\u30ff]")
    for page in pages():
        if page.language in ("zh", "ja"):
            assert bool(kana.search(page.text)) == (page.language == "ja"), page.url


def test_every_kind_of_page_is_there() -> None:
    kinds = {page.kind for page in pages()}
    assert kinds >= {
        "article",
        "thread",
        "product",
        "front",
        "collection",
        "spam",
        "lorem",
        "login",
        "error",
        "tag",
        "links",
    }
    blocks = {block.kind for page in pages() for block in page.blocks}
    assert blocks >= {"menu", "middle", "footer", "code", "table", "list", "author", "signature"}


def test_all_hosts_and_mail_addresses_are_reserved_names(corpus: Path) -> None:
    sources = [*FOLDER.glob("*.yaml"), *FOLDER.glob("articles/*.txt")]
    texts = [page.text + "\n" + page.url for page in pages()] + [source.read_text("utf-8") for source in sources]
    name = re.compile(r"(?:https?://|www\.|@)((?:[\w-]+\.)+[a-z]{2,})", re.I)
    hosts = {host for text in texts for host in name.findall(text)}
    assert hosts
    assert [host for host in hosts if not host.endswith(".example")] == []
    ends = re.compile(r"\b[\w-]+\.(?:com|org|net|io|de|fr|es|jp|cn|uk|edu|gov)\b")
    assert [match for text in texts for match in ends.findall(text)] == []


def test_no_field_of_a_site_is_left_unfilled() -> None:
    assert [page.url for page in pages() if re.search(r"\{(?:title|tags|date|year|n|votes|related)\}", page.text)] == []


def test_labels_have_one_flag_for_each_line_of_the_text_in_the_file(
    json_lines: dict[str, list[bytes]], fineweb: list[dict[str, Any]]
) -> None:
    texts: dict[str, str] = {}
    for record in [*(parsed(line) for lines in json_lines.values() for line in lines), *fineweb]:
        if isinstance(record, dict) and isinstance(record["text"], str):
            texts.setdefault(record["url"], record["text"])
    for label in labels():
        assert len(label["keep"]) == texts[label["url"]].count("\n") + 1, label["url"]
        assert set(label["keep"]) <= {True, False, None}
    assert len(labels()) == sum(page.format != "warc" for page in pages())


def test_kept_pages_have_content_and_boilerplate_and_other_pages_have_no_content() -> None:
    for label in labels():
        assert label["keep_document"] == (True in label["keep"]), label["url"]
    kept = [label["keep"] for label in labels() if label["keep_document"]]
    assert sum(False in flags for flags in kept) > 0.95 * len(kept)


def test_labels_mark_articles_as_content_and_site_lines_as_boilerplate() -> None:
    page = next(page for page in pages() if page.url.endswith("/science/two-tides-a-day"))
    flags = dict(page.lines)
    assert flags["Why most coasts have two tides a day, not one"] is True
    footers = [line for block in page.blocks if block.kind == "footer" for line in block.lines]
    assert all(flags[line] is False for line in footers)


def test_self_test_pages_are_mostly_short_lines_of_boilerplate() -> None:
    assert 3 <= len(BOILERPLATE_PAGES) <= 4
    for text in BOILERPLATE_PAGES:
        lines = text.split("\n")
        assert len(lines) >= 8
        assert sum(len(line) > 80 for line in lines) <= 1
    assert not set(BOILERPLATE_PAGES) & {page.text for page in pages()}


def test_sources_stay_under_one_megabyte() -> None:
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.suffix in (".py", ".txt", ".yaml")) < 1_000_000


def test_some_pages_are_longer_than_one_window_of_a_refiner() -> None:
    long = Counter(page.format for page in pages() if len(page.text) > 7_000)
    assert set(long) == set(FILES)
