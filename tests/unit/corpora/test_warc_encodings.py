"""Encodings of pages: labels, marks and stray bytes are read as browsers do."""

from pathlib import Path

import pytest
from warc_helpers import one

from prox_spark.corpora.encodings import codec_of, decode

KOREAN = "한국어 페이지 내용입니다 안녕하세요"


def html(text: str, encoding: str, head: str = "") -> bytes:
    return f"<html><head>{head}</head><body><p>{text}</p></body></html>".encode(encoding)


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        (html("①㈱ 日本語", "cp932", "<meta charset=shift_jis>"), "text/html", "①㈱ 日本語"),
        (html("“x” €", "cp1252", '<meta http-equiv=a content="text/html; charset=latin1">'), "text/html", "“x” €"),
        (html("plain café", "utf-8", "<meta charset=utf-16>"), "text/html", "plain café"),
        (html("plain words", "ascii"), "text/html; charset=utf-16", "plain words"),
        (html("привет мир", "utf-16-le"), "text/html; charset=utf-16", "привет мир"),
        (html("日本語 ｱｲｳ", "iso2022_jp_ext"), "text/html; charset=iso-2022-jp", "日本語 ｱｲｳ"),
        (b"<p>\xad\xa1 \xa1\xc1</p>", "text/html; charset=euc-jp", "① \uff5e"),
        (b"<p>\x1b$B-!\x1b(B x</p>", "text/html; charset=iso-2022-jp", "① x"),
        (b"<p>\x80 \xd6\xd0</p>", "text/html; charset=gbk", "€ 中"),
        (b"<p>a\xe9</p>", "text/html; charset=x-user-defined", "a\uf7e9"),
        (html("żółw", "cp1250", "<!-- <meta charset=utf-8> --><meta charset=windows-1250>"), "text/html", "żółw"),
        (html("żółw", "cp1250", "<meta charset=nonsense><meta charset=cp1250>"), "text/html; charset=utf_8_sig", "żółw"),
        (html("日本語のページです。", "utf-8"), "text/html; charset='UTF8'", "日本語のページです。"),
        (html(KOREAN, "cp949"), "text/html", KOREAN),
    ],
)  # fmt: skip
def test_labels_and_marks_are_read_as_browsers_do(tmp_path: Path, body: bytes, content_type: str, text: str) -> None:
    assert one(tmp_path, body, content_type)["text"].strip() == text


@pytest.mark.parametrize(
    ("data", "label", "text"),
    [
        (b"\xae \xbe", "koi8-u", "ў Ў"),
        (b"\xa1\x45 \xa3\xe1 \xa1\xe3", "big5", "‧ € \uff5e"),
        (b"\xa6\xd9 \xa8\xbc \xfe\x59 \xa3\xa0", "gbk", "\ufe10 \u1e3f \u9fb4 \u3000"),
        (b"\x81\x35\xf4\x37", "gb18030", "\ue7c7"),
        (b"\xf0 \xdb", "macintosh", "\uf8ff €"),
        (b"\xff", "x-mac-cyrillic", "€"),
        (b"abc \x80", "iso-2022-kr", "\ufffd"),
    ],
)
def test_characters_that_codecs_differ_in_are_those_of_the_standard(data: bytes, label: str, text: str) -> None:
    codec = codec_of(label)
    assert codec is not None
    assert decode(data, codec) == text


@pytest.mark.parametrize(
    ("start", "label"),
    [(b"\x81\xa1", "big5"), (b"\x81\xff", "euc-kr"), (b"\x81\xad", "shift_jis"), (b"\x81\xff", "gbk"),
     (b"\xfd\xff", "euc-jp"), (b"\x8f\xa1\xa1", "euc-jp"), (b"\x8f\xff", "euc-jp")],
)  # fmt: skip
def test_an_invalid_character_costs_none_behind_it(start: bytes, label: str) -> None:
    codec = codec_of(label)
    assert codec is not None
    assert decode(start + "中中中<".encode(codec), codec) == "\ufffd中中中<"
    assert decode(start[:1] + b"<a>", codec) == "\ufffd<a>"
    assert decode(start, codec) == decode(start[:1], codec) == "\ufffd"


XML = '<?xml version="1.0" encoding="{}"?><html><head>{}</head><body><p>żółw wąż</p></body></html>'


@pytest.mark.parametrize("content_type", ["text/html", "application/xhtml+xml"])
@pytest.mark.parametrize(
    ("label", "meta", "encoding"),
    [
        ("iso-8859-2", "", "iso8859-2"),
        ("windows-1250", "<meta charset=nonsense>", "cp1250"),
        ("iso-8859-2", "<meta charset=windows-1250>", "cp1250"),
        ("utf-16", "", "utf-8"),
        ("nonsense", "", "utf-8"),
    ],
)
def test_the_declaration_of_xml_names_the_encoding(
    tmp_path: Path, content_type: str, label: str, meta: str, encoding: str
) -> None:
    assert one(tmp_path, XML.format(label, meta).encode(encoding), content_type)["text"].strip() == "żółw wąż"


@pytest.mark.parametrize(
    ("encoding", "content_type"),
    [("utf-8", "text/html; charset=utf-8"), ("utf-8", "text/html"), ("cp932", "text/html; charset=shift_jis"),
     ("euc_jp", "text/html; charset=euc-jp"), ("gb18030", "text/html; charset=gb2312")],
)  # fmt: skip
@pytest.mark.parametrize("stray", [b"\xff", b"\x81"])
def test_a_stray_byte_costs_a_character_and_no_page(
    tmp_path: Path, encoding: str, content_type: str, stray: bytes
) -> None:
    text = "日本語のページです。"
    row = one(tmp_path, html(text, encoding)[:-14] + stray + b"</p>", content_type)
    assert row["text"].strip().startswith(text[:-1])
    assert "\ufffd" in row["text"]
    assert 0 < float(row["metadata"]["broken_share"]) < 0.5


def test_broken_text_is_measured_and_sound_text_is_not(tmp_path: Path) -> None:
    assert float(one(tmp_path, html("cafÃ© â€œxâ€", "utf-8"))["metadata"]["broken_share"]) > 0.1
    assert float(one(tmp_path, html("a\x85b\ufffd", "utf-8"))["metadata"]["broken_share"]) == 0.5
    assert "broken_share" not in one(tmp_path, html("São “Ürün” naïve 日本語 ÂNGELA à la", "utf-8"))["metadata"]
