"""Answers that come as events though none were asked for: some gateways only stream.

The chunks of one answer are put together again, so that whoever reads it sees one object.
"""

from collections.abc import Mapping
from typing import Any

import orjson

_MARK = b"\xef\xbb\xbf"
_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")
"""How the lines of an event stream begin (WHATWG HTML, section 9.2)."""


def whole(content: bytes) -> bytes:
    """The object in a body: itself without a byte order mark, or what the chunks of an event stream come to.

    A chunk that is an error stands for all; chunks that cannot be read leave the body as it is.
    """
    text = content.removeprefix(_MARK).lstrip()
    if not text.startswith(_FIELDS):
        return text
    try:
        chunks = [orjson.loads(data) for data in _events(text) if data != b"[DONE]"]
    except ValueError:
        return text
    chunks = [chunk for chunk in chunks if isinstance(chunk, dict)]
    for chunk in chunks:
        if not chunk.get("choices") and (chunk.get("error") or chunk.get("object") == "error"):
            return orjson.dumps(chunk)
    return orjson.dumps(_joined(chunks)) if chunks else text


def _events(text: bytes) -> list[bytes]:
    """The data of each event: lines of one belong together, a blank line ends it."""
    found: list[list[bytes]] = [[]]
    for line in text.splitlines():
        if not line:
            found.append([])
        elif line.startswith(b"data:"):
            found[-1].append(line.removeprefix(b"data:").removeprefix(b" "))
    return [b"\n".join(lines).strip() for lines in found if lines]


def _joined(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """One answer with the texts, token ids and log-probabilities of its first choice in all chunks."""
    choice: dict[str, Any] = {}
    whole: dict[str, Any] = {"choices": [choice]}
    for chunk in chunks:
        whole |= {name: value for name, value in chunk.items() if name != "choices" and value is not None}
        parts = chunk.get("choices")
        part = parts[0] if isinstance(parts, list) and parts else None
        if not isinstance(part, Mapping) or part.get("index", 0) != 0:
            continue
        said = {name: value for name, value in part.items() if name not in ("delta", "message", "index")}
        _add(choice, said)
        message = part.get("delta") or part.get("message")
        if isinstance(message, Mapping):
            _add(choice.setdefault("message", {}), message)
    return whole


def _add(known: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Append texts and lists; anything else that is new stands, but for nothing."""
    for name, value in more.items():
        old = known.get(name)
        if value is None:
            known.setdefault(name, None)
        elif isinstance(old, dict) and isinstance(value, Mapping):
            _add(old, value)
        elif name in ("role", "finish_reason", "stop_reason"):
            known[name] = value
        elif isinstance(old, str) and isinstance(value, str):
            known[name] = old + value
        elif isinstance(old, list) and isinstance(value, list):
            known[name] = [*old, *value]
        else:
            known[name] = dict(value) if isinstance(value, Mapping) else value
