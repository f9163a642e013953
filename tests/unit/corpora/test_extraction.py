"""HTML to text: what each extractor keeps, and that no page costs more than itself."""

import gzip
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from corpora_helpers import errors, read, texts
from hypothesis import given, settings
from hypothesis import strategies as st
from warc_helpers import page, response

from prox_spark.config.models import InputConfig
from prox_spark.corpora import extraction, extraction_process
from prox_spark.corpora.extraction import EXTRACTORS
from prox_spark.corpora.extraction_process import NoText, end_children, html_to_text
from prox_spark.errors import InputError, InstallationError
from prox_spark.limits import DEFAULT, DocumentLimits
from prox_spark.processes import start_time

PAGE = b"""<!doctype html><html><head><title>Title</title></head><body>
<nav><a href=/>Home</a> <a href=/x>About</a></nav>
<main><article><h1>Heading one</h1><p>The first paragraph of prose is long enough to be content of a page.</p>
<h2>Heading two</h2><ul><li>alpha item of the list</li><li>beta item of the list</li></ul>
<p>Another paragraph with <code>inline code</code> in it, so that there is enough prose around the blocks.</p>
<pre><code>def f(x):
    return x
</code></pre>
<table><tr><th>Name</th><th>Value</th></tr><tr><td>first</td><td>1</td></tr><tr><td>second</td><td>2</td></tr></table>
</article></main><footer>Imprint and privacy</footer></body></html>"""
BLOCKS = ("Heading one", "Heading two", "def f(x):", "    return x")


def library(name: str) -> None:
    pytest.importorskip(EXTRACTORS[name].library)


@pytest.fixture(autouse=True)
def no_children() -> Iterator[None]:
    end_children()
    yield
    end_children()


@pytest.mark.parametrize("name", EXTRACTORS)
def test_blocks_are_lines(name: str) -> None:
    library(name)
    lines = html_to_text(PAGE, None, name).split("\n")
    for block in BLOCKS:
        assert block in lines
    assert any(line.split() == ["Name", "Value"] or line.split() == ["|", "Name", "|", "Value", "|"] for line in lines)
    assert any("first" in line and "1" in line and "second" not in line for line in lines)
    assert not any("alpha" in line and "beta" in line for line in lines)
    assert any("with inline code in it" in line for line in lines)


def test_only_the_whole_page_has_its_navigation() -> None:
    assert "Home" in html_to_text(PAGE, None, "text")
    assert "Imprint" in html_to_text(PAGE, None, "text")
    for name in ("main", "trafilatura"):
        library(name)
        assert "Home" not in html_to_text(PAGE, None, name)


@pytest.mark.parametrize("name", ["text", "main"])
@pytest.mark.parametrize("charset", [None, " UTF-8 ", "shift_jis", "no such charset", "x" * 1_000])
@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.sampled_from(["<p>", "</p>", "<b>", "<ul><li>", "é語 words", "<table><td>", "&amp;", "\0", "<pre>\n"]))
)
def test_here_and_in_a_child_the_text_is_the_same(name: str, charset: str | None, parts: list[str]) -> None:
    body = "".join(parts).encode()
    expected = html_to_text(body, charset, name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extraction_process, "_SMALL_PRODUCT", -1)
        assert html_to_text(body, charset, name) == expected


# What is chosen


def archive(folder: Path, *bodies: bytes) -> Path:
    path = folder / "x.warc.gz"
    members = [page(0), *(response(n + 1, body) for n, body in enumerate(bodies)), page(len(bodies) + 1)]
    path.write_bytes(b"".join(map(gzip.compress, members)))
    return path


def test_documents_name_an_extractor_that_is_not_the_default(tmp_path: Path) -> None:
    path = archive(tmp_path, PAGE)
    assert [row["metadata"].get("extract") for row in read(path, "warc")] == [None] * 3
    rows = read(path, "warc", extract="main")
    assert [row["metadata"]["extract"] for row in rows] == ["main"] * 3
    assert [row["doc_id"] for row in rows] == [row["doc_id"] for row in read(path, "warc")]
    assert "Home" not in rows[1]["text"]


def test_an_extractor_is_refused_where_it_does_not_exist_or_there_is_no_html(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown extractor 'trafilature'.*trafilatura"):
        read(tmp_path / "x", "warc", extract="trafilature")
    with pytest.raises(InputError, match=r"format 'wet' has no HTML: remove input\.extract, which is for warc"):
        read(tmp_path / "x", "wet", extract="main")
    with pytest.raises(ValueError, match="format 'json' has no HTML"):
        InputConfig(path="x", format="json", extract="main")
    with pytest.raises(ValueError, match="unknown extractor 'mian'"):
        InputConfig(path="x", format="warc", extract="mian")


def test_a_library_that_is_missing_is_told_and_makes_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "find_spec", lambda name: None)
    with pytest.raises(InstallationError, match=r"pip install 'prox-spark\[trafilatura\]'"):
        read(archive(tmp_path, PAGE), "warc", extract="trafilatura")


def test_a_reading_is_its_format_columns_extractor_and_limits() -> None:
    def reading(limits: DocumentLimits = DEFAULT, **settings: Any) -> str:
        return InputConfig(path="x", **settings).reading(limits)

    assert (
        reading(format="warc", source="crawl", limit=3) == reading(format="warc", extract="text") == '{"format":"warc"}'
    )
    assert reading(format="warc", extract="main") == '{"extract":"main","format":"warc"}'
    mapped = '{"columns":{"doc_id":"key","text":"é"},"format":"json"}'
    assert reading(format="json", columns={"text": "é", "doc_id": "key"}) == mapped
    assert reading(format="json", columns={"doc_id": "key", "text": "é"}) == mapped
    assert reading(DocumentLimits(max_lines=5), format="json") == '{"format":"json","max_lines":5}'


# Hostile pages

MIB = 1 << 20
ATTRIBUTES = b"<p " + b" ".join(b"a%d" % n for n in range(300_000)) + b">words"
UNCLOSED = b"".join(b"<b id=%d>" % n for n in range(100_000)) + b"words"
COPIED = b"".join(b"<font a%d><p>x" % n for n in range(100_000))
INDENTED = b"<ul><li>x" * 200_000
NESTED = b"<div>" * 1_000_000 + b"deep words"
TAGS = [b"<", b"<!--", b"</x>", b"<a><p>", b"<table><b>x", b"<template>", b"<svg>", b"<form><div></form>", b"<select>"]


@pytest.fixture
def one_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction_process, "CPU_SECONDS", 1)


@pytest.mark.usefixtures("one_second")
@pytest.mark.parametrize("name", EXTRACTORS)
def test_a_hostile_page_costs_itself_alone(tmp_path: Path, name: str) -> None:
    library(name)
    hostile = [ATTRIBUTES, UNCLOSED, COPIED, INDENTED, NESTED]
    start = time.process_time()
    rows = read(archive(tmp_path, *hostile), "warc", extract=name)
    assert time.process_time() - start < 5  # this process only waits
    assert [row["position"] for row in rows] == list(range(7))
    assert [texts([rows[n]])[0].strip() for n in (0, 6)] == ["page 0", "page 6"]
    refused = [error for _, error in errors(rows)]
    assert set(refused) <= {"TooComplex", "MalformedHtml", "TooLarge"}
    assert name == "trafilatura" or refused.count("TooComplex") >= 2


def test_slow_pages_and_hungry_ones_say_so(one_second: None) -> None:
    with pytest.raises(NoText, match="more than 1 seconds of processor time") as slow:
        html_to_text(UNCLOSED, None, "text")
    assert slow.value.error_class == "TooComplex"
    with pytest.raises(NoText) as hungry:
        html_to_text(INDENTED, None, "text")
    assert hungry.value.error_class == "TooComplex"


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("name", ["text", "main"])
def test_other_pages_of_tags_alone_are_read_or_refused_soon(name: str, tag: bytes) -> None:
    start = time.process_time()
    html_to_text(tag * (200_000 // len(tag)), None, name)
    assert time.process_time() - start < 2


def test_a_page_that_is_parsed_here_costs_little() -> None:
    attributes = b" ".join(b"%x" % n for n in range(15))
    worst = b"<p>" + b"".join(b"<b %x %s>" % (n, attributes) for n in range(250)) + b"<p>x" * 250
    assert len(worst) * worst.count(b"<") < extraction_process._SMALL_PRODUCT
    for name in ("text", "main"):
        start = time.process_time()
        html_to_text(worst, None, name)
        assert time.process_time() - start < 2
    assert not extraction_process._children


# The child

LARGE = PAGE * 100


def child_of(name: str = "text") -> Any:
    html_to_text(LARGE, None, name)
    return extraction_process._children[name]


def test_a_child_that_is_killed_between_pages_is_replaced() -> None:
    expected = html_to_text(LARGE, None, "text")
    before = child_of()
    before._process.kill()
    assert html_to_text(LARGE, None, "text") == expected
    assert child_of() is not before


def test_a_page_whose_child_is_killed_is_given_to_another(one_second: None) -> None:
    child = child_of()
    os.kill(child._process.pid, signal.SIGSTOP)
    killer = threading.Timer(0.3, child._process.kill)
    killer.start()
    assert "Heading one" in html_to_text(LARGE, None, "text")
    killer.join()


def test_a_child_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction_process, "_WAIT_SECONDS", 0.2)
    child = child_of()
    os.kill(child._process.pid, signal.SIGSTOP)
    with pytest.raises(NoText, match="did not answer within"):
        html_to_text(LARGE, None, "text")
    assert child._process.returncode == -signal.SIGKILL
    assert "Heading one" in html_to_text(LARGE, None, "text")


def test_after_a_large_page_its_memory_is_given_back() -> None:
    child_of()
    assert html_to_text(b"<p>words " * MIB, None, "text").count("words") == MIB
    assert not extraction_process._children


def test_a_child_cannot_outlive_its_page_and_its_parent() -> None:
    code = (
        "import prox_spark.corpora.extraction_process as e; e.CPU_SECONDS = 2\n"
        "e.html_to_text(b'<p>words' * 9999, None, 'text'); print(e._children['text']._process.pid, flush=True)\n"
        "e.html_to_text(b''.join(b'<b id=%d>' % n for n in range(10**5)), None, 'text')"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 60
    while start_time(pid) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
