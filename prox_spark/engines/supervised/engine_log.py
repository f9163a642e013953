"""What an engine's log says of its end: the tail, and the error that began it."""

import re
from pathlib import Path

from prox_spark.credentials import hidden

_LINES = 30
_TAIL_BYTES = 16384
_READ_BYTES = 4 << 20
"""Of the log's start, where an engine that does not start has its whole story."""

_CHARACTERS = 500

_CONSEQUENCE = "root cause"
"""vLLM's front end says this of errors that come from another of its processes: the cause is further up."""

_TRACEBACK = "Traceback (most recent call last):"
_HEAD = re.compile(
    r"(?P<process>\([^()]*\) )?(?:(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL) [\d-]+ [\d:.,]+ \[[^\]]*\] ?)?"
)
_ERROR = re.compile(r"[A-Za-z_][\w.]*(: |:?$)")
_NEXT = ("The above exception", "During handling of", _TRACEBACK)


def last_words(log: Path) -> str:
    """The tail of a log, without secrets."""
    try:
        with log.open("rb") as opened:
            opened.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            lines = opened.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return "(it left no log)"
    told = [line for line in lines if line.strip()]
    return "\n".join(map(hidden, told[-_LINES:])) or "(its log is empty)"


def cause(reason: str, log: Path) -> str:
    """``reason`` on one line; where it only points at an earlier error, that error as the log has it."""
    found = _first_error(log) if _CONSEQUENCE in reason else None
    return hidden(" ".join((found or reason).split()))[:_CHARACTERS]


def _first_error(log: Path) -> str | None:
    """The error under the log's first traceback that neither is a mere warning nor points at another."""
    try:
        with log.open("rb") as opened:
            lines = opened.read(_READ_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    for number, line in enumerate(lines):
        head, said = _split(line)
        if said != _TRACEBACK or head["level"] in ("DEBUG", "INFO", "WARNING"):
            continue
        error = _under(lines[number + 1 :], head["process"])
        if error is not None and _CONSEQUENCE not in error:
            return error
    return None


def _under(lines: list[str], process: str | None) -> str | None:
    """The error that ends a traceback of ``process``, with the lines that continue its message."""
    said: list[str] = []
    level = None
    for line in lines:
        head, text = _split(line)
        if head["process"] != process:
            continue  # Of another process, which writes into the same log.
        if said and (not text.strip() or text.startswith(_NEXT) or head["level"] != level):
            break
        if said or _ERROR.match(text):
            said.append(text.strip())
            level = head["level"]
    return " ".join(said) or None


def _split(line: str) -> tuple[dict[str, str | None], str]:
    """A line's process and level, where it has those, and its text."""
    head = _HEAD.match(line)
    assert head is not None  # It matches the empty string.
    return head.groupdict(), line[head.end() :]
