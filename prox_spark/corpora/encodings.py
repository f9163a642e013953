"""Decodes pages by the WHATWG Encoding Standard: codecs for charset labels, and decoding that never fails.

Source: https://encoding.spec.whatwg.org (labels: section 4.2), https://html.spec.whatwg.org (precedence of encoding hints,
section 13.2.3.2). Python's codecs do the decoding; the error handler below covers their differences from the standard.
"""

import codecs
import re

from resiliparse.parse.encoding import detect_encoding

_LABELS = {
    "utf-8": "unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf-8 utf8 x-unicode20utf8",
    "cp866": "866 cp866 csibm866 ibm866",
    "iso8859-2": "csisolatin2 iso-8859-2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 l2 latin2",
    "iso8859-3": "csisolatin3 iso-8859-3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 l3 latin3",
    "iso8859-4": "csisolatin4 iso-8859-4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 l4 latin4",
    "iso8859-5": "csisolatincyrillic cyrillic iso-8859-5 iso-ir-144 iso8859-5 iso88595 iso_8859-5 iso_8859-5:1988",
    "iso8859-6": "arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6 iso-8859-6-e iso-8859-6-i "
    "iso-ir-127 iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987",
    "iso8859-7": "csisolatingreek ecma-118 elot_928 greek greek8 iso-8859-7 iso-ir-126 iso8859-7 iso88597 iso_8859-7 "
    "iso_8859-7:1987 sun_eu_greek",
    "iso8859-8": "csiso88598e csisolatinhebrew hebrew iso-8859-8 iso-8859-8-e iso-ir-138 iso8859-8 iso88598 iso_8859-8 "
    "iso_8859-8:1988 visual csiso88598i iso-8859-8-i logical",
    "iso8859-10": "csisolatin6 iso-8859-10 iso-ir-157 iso8859-10 iso885910 l6 latin6",
    "iso8859-13": "iso-8859-13 iso8859-13 iso885913",
    "iso8859-14": "iso-8859-14 iso8859-14 iso885914",
    "iso8859-15": "csisolatin9 iso-8859-15 iso8859-15 iso885915 iso_8859-15 l9",
    "iso8859-16": "iso-8859-16",
    "koi8-r": "cskoi8r koi koi8 koi8-r koi8_r",
    "koi8-u": "koi8-ru koi8-u",
    "mac-roman": "csmacintosh mac macintosh x-mac-roman",
    "mac-cyrillic": "x-mac-cyrillic x-mac-ukrainian",
    "cp874": "dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 windows-874",
    "cp1250": "cp1250 windows-1250 x-cp1250",
    "cp1251": "cp1251 windows-1251 x-cp1251",
    "cp1252": "ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 iso88591 iso_8859-1 "
    "iso_8859-1:1987 l1 latin1 us-ascii windows-1252 x-cp1252",
    "cp1253": "cp1253 windows-1253 x-cp1253",
    "cp1254": "cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 iso_8859-9:1989 l5 latin5 windows-1254 "
    "x-cp1254",
    "cp1255": "cp1255 windows-1255 x-cp1255",
    "cp1256": "cp1256 windows-1256 x-cp1256",
    "cp1257": "cp1257 windows-1257 x-cp1257",
    "cp1258": "cp1258 windows-1258 x-cp1258",
    "gb18030": "chinese csgb2312 csiso58gb231280 gb2312 gb_2312 gb_2312-80 gbk iso-ir-58 x-gbk gb18030",
    "big5hkscs": "big5 big5-hkscs cn-big5 csbig5 x-x-big5",
    "euc_jp": "cseucpkdfmtjapanese euc-jp x-euc-jp",
    "iso-2022-jp": "csiso2022jp iso-2022-jp",
    "cp932": "csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis",
    "cp949": "cseuckr csksc56011987 euc-kr iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 windows-949",
    "replacement": "csiso2022kr hz-gb-2312 iso-2022-cn iso-2022-cn-ext iso-2022-kr replacement",
    "utf-16-be": "unicodefffe utf-16be",
    "utf-16-le": "csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16 utf-16le",
    "x-user-defined": "x-user-defined",
}
_CODECS = {label: codec for codec, labels in _LABELS.items() for label in labels.split()}

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_SAMPLE = 1 << 16
_META = re.compile(rb"""<!--|<meta\s[^>]{0,1000}?charset\s*=\s*["']?\s*([^\s"'/>;]{1,40})""", re.IGNORECASE)
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_ISO_2022 = re.compile(rb"\x1b(\([BJI]|\$[@B])")
# XML's declaration, which HTML takes, too, if no meta element names an encoding (section 13.2.3.4).
_XML = re.compile(rb"""\s*<\?xml\s[^>]{0,1000}?\bencoding\s*=\s*["']\s*([^\s"'>]{1,40})""")
_DIFFERENCES = {
    # EUC-JP and ISO-2022-JP have the same characters as windows-31j, but Python's tables for them come from another source.
    "euc_jp": "\u301c\uff5e \u2016\u2225 \u2212\uff0d \xa2\uffe0 \xa3\uffe1 \xac\uffe2",
    # From the bytes A0, FD, FE and FF, which the standard does not define.
    "cp932": "\uf8f0\ufffd \uf8f1\ufffd \uf8f2\ufffd \uf8f3\ufffd",
    "koi8-u": "\u255d\u045e \u256c\u040e",
    "big5hkscs": "\u2022\u2027 \uff64\ufe51 \u203e\xaf \u223c\uff5e \u2641\u2295 \u2609\u2299 \xa5\uffe5 \xa2\uffe0 \xa3\uffe1",
    # Python has an old edition, with private characters for those that Unicode did not have yet.
    "gb18030": "\ue78d\ufe10 \ue78e\ufe12 \ue78f\ufe11 \ue790\ufe13 \ue791\ufe14 \ue792\ufe15 \ue793\ufe16 \ue794\ufe17 "
    "\ue795\ufe18 \ue796\ufe19 \ue7c7\u1e3f \u1e3f\ue7c7 \ue5e5\u3000 \ue81e\u9fb4 \ue826\u9fb5 \ue82b\u9fb6 \ue82c\u9fb7 "
    "\ue832\u9fb8 \ue843\u9fb9 \ue854\u9fba \ue864\u9fbb",
}
"""Characters that Python's codecs decode differently from the standard, each followed by the standard's."""
_MENDED = {codec: {pair[0]: pair[1] for pair in re.findall("[^ ]{2}", pairs)} for codec, pairs in _DIFFERENCES.items()}
_DIFFERENT = {codec: re.compile(f"[{''.join(table)}]") for codec, table in _MENDED.items()}
_DOUBLE = ("cp932", "cp949", "big5hkscs", "gb18030", "euc_jp")
_ERRORS = "prox_spark_whatwg"


def codec_of(label: str | None) -> str | None:
    """The codec for a charset label by the WHATWG Encoding Standard; ``None`` for an unknown label."""
    return _CODECS.get(label.strip("\t\n\f\r ").lower()) if label else None


def decode_page(body: bytes, charset: str | None, *, html: bool = True) -> str:
    """The text of a page, decoded by its byte order mark, else the HTTP ``charset``, else HTML's meta, else by detection.

    A label that the standard does not know is ignored. Bytes that are invalid in the encoding become U+FFFD.
    """
    for mark, codec in _MARKS:
        if body.startswith(mark):
            return decode(body[len(mark) :], codec)
    found = codec_of(charset)
    if found is not None and not (found.startswith("utf-16") and b"\0" not in body[:_SAMPLE]):
        return decode(body, found)
    found = _declared(body) if html else None
    return decode(body, found or _sniff(body))


def decode(data: bytes, codec: str) -> str:
    """``data`` decoded by one of the codecs that ``codec_of`` gives, with U+FFFD for invalid bytes. Never raises."""
    if codec == "iso-2022-jp":
        return _decode_iso_2022_jp(data)
    if codec == "replacement":  # encodings that hide ASCII in other bytes: the standard refuses to read them
        return "\ufffd" if data else ""
    if codec == "x-user-defined":
        return data.decode("latin-1").translate({byte: 0xF700 + byte for byte in range(0x80, 0x100)})
    text = data.decode(codec, _ERRORS)
    table = _MENDED.get(codec)
    return text if table is None else _DIFFERENT[codec].sub(lambda match: table[match[0]], text)


def _declared(body: bytes) -> str | None:
    """The codec of the first meta element with a known label, else of XML's declaration.

    UTF-16 means UTF-8, because these are in ASCII.
    """
    return _declared_by_meta(body) or _as_read(_XML.match(body, 0, _SAMPLE))


def _declared_by_meta(body: bytes) -> str | None:
    start = 0
    while (match := _META.search(body, start, _SAMPLE)) is not None:
        start = match.end()
        if match[1] is None:  # a comment
            start = body.find(b"-->", start, _SAMPLE)
            if start < 0:
                return None
            continue
        codec = _as_read(match)
        if codec is not None:
            return codec
    return None


def _as_read(match: re.Match[bytes] | None) -> str | None:
    """The codec for a label that was read in ASCII."""
    codec = None if match is None else codec_of(match[1].decode("latin-1"))
    if codec is not None and codec.startswith("utf-16"):
        return "utf-8"
    return "cp1252" if codec == "x-user-defined" else codec


def _sniff(body: bytes) -> str:
    """The codec detected from ``body``, for pages that declare none."""
    first = _NOT_ASCII.search(body)
    if first is None:
        return "iso-2022-jp" if _ISO_2022.search(body) else "utf-8"
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        return "utf-8"
    sample = body[max(0, first.start() - 1_000) :][:_SAMPLE]
    text = sample.decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    # Other encodings hardly ever look like UTF-8: a page that is mostly valid UTF-8 has a few broken characters.
    if sum(one > "\x7f" for one in text) - wrong >= wrong:
        return "utf-8"
    found = detect_encoding(body[:_SAMPLE] if first.start() < _SAMPLE else sample, html5_compatible=False) or ""
    codec = found if found in _LABELS else codec_of(found) or codec_of(found.replace("_", "-"))
    return "cp1252" if codec is None or codec == "utf-8" else codec


def _decode_iso_2022_jp(data: bytes) -> str:
    """Each part in the character set of the escape before it."""
    parts = _ISO_2022.split(data)
    text = [decode(parts[0], "cp1252") if parts[0].isascii() else parts[0].decode("ascii", "replace")]
    for escape, part in zip(parts[1::2], parts[2::2], strict=True):
        if escape.startswith(b"$"):
            text.append(decode(bytes(byte | 0x80 if 0x21 <= byte <= 0x7E else byte for byte in part), "euc_jp"))
        elif escape == b"(I":
            text.append(
                bytes(byte | 0x80 if 0x21 <= byte <= 0x5F else byte for byte in part).decode("cp932", "replace")
            )
        elif escape == b"(J":
            text.append(part.decode("ascii", "replace").translate({0x5C: "\xa5", 0x7E: "\u203e"}))
        else:
            text.append(part.decode("ascii", "replace"))
    return "".join(text)


def _mend(error: UnicodeError) -> tuple[str, int]:
    """An error handler: the standard's character for bytes that Python's codec does not know, else U+FFFD."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    data, start = error.object, error.start
    byte = data[start]
    if error.encoding == "charmap" and byte < 0xA0:
        return chr(byte), start + 1
    if error.encoding == "gb18030" and byte == 0x80:
        return "\u20ac", start + 1
    pair = data[start : start + 2]
    if error.encoding == "euc_jp" and len(pair) == 2 and min(pair) >= 0xA1 and max(pair) <= 0xFE:
        try:
            return _as_shift_jis(pair[0] - 0xA0, pair[1] - 0xA0).decode("cp932"), start + 2
        except UnicodeDecodeError:
            return "\ufffd", start + 2
    if error.encoding == "big5hkscs" and pair == b"\xa3\xe1":
        return "\u20ac", start + 2
    # The bytes behind it belong to the invalid character, too: else all others are read from the wrong byte on.
    if error.encoding in _DOUBLE and 0x81 <= byte <= 0xFE and byte != 0xA0 and len(pair) == 2 and pair[1] >= 0x80:
        third = data[start + 2 : start + 3]
        three = error.encoding == "euc_jp" and byte == 0x8F and 0xA1 <= pair[1] <= 0xFE and third >= b"\x80"
        return "\ufffd", start + (3 if three else 2)
    return "\ufffd", max(error.end, start + 1)


def _as_shift_jis(row: int, cell: int) -> bytes:
    """A character of JIS X 0208 (row and cell from 1 to 94) in Shift_JIS."""
    lead = (row - 1) // 2 + (0x81 if row <= 62 else 0xC1)
    trail = cell + (0x9E if row % 2 == 0 else 0x3F + (cell >= 0x40))
    return bytes((lead, trail))


codecs.register_error(_ERRORS, _mend)
