"""Text of web pages, made safe to display: no invisible characters that change how the rest is shown."""

import re

_HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and newline
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # they turn the direction of the text around them
    "\u2028\u2029\ufff9-\ufffb\ufffe\uffff\ud800-\udfff]"
)


def clean(text: str) -> str:
    """The text with control and direction characters made visible, and half characters replaced.

    >>> clean("a\\x00b\\u202ec")
    'a␀b[U+202E]c'
    """
    return _HARMFUL.sub(_visible, text)


def _visible(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if 0xD800 <= code <= 0xDFFF or code in (0xFFFE, 0xFFFF):
        return "\ufffd"
    return f"[U+{code:04X}]"


def shortened(text: str, limit: int) -> str:
    """At most ``limit`` characters of the text, the last an ellipsis where it is longer."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
