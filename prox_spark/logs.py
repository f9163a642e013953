"""The log of this package: one line per message, as text or as JSON, on standard error.

Every module logs with ``logging.getLogger(__name__)``; values for log collectors go into ``extra``. The library
never configures logging: the command line does, and passes its settings to the tasks that it starts on executors.
"""

import json
import logging
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

from prox_spark.credentials import HIDDEN, SECRET_NAME, hidden

_OURS = "prox_spark"

_STANDARD = {*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName"}


@dataclass(frozen=True)
class LogSettings:
    """A process's log settings: the format, and the minimum level of this package's messages."""

    format: Literal["text", "json"] = "text"
    level: int = logging.INFO


def safe(text: str) -> str:
    """The text with control and format characters escaped, so that page text cannot control the terminal."""
    return "".join(
        c if c.isprintable() or c == " " else c.encode("unicode_escape", "backslashreplace").decode() for c in text
    )


def clean(text: str) -> str:
    """One line without secrets and without control characters.

    >>> clean("s3a://user:pass@bucket/a" + chr(10) + "b")
    's3a://***@bucket/a\\\\nb'
    """
    return safe(hidden(text))


def without_secrets(configuration: Any) -> Any:
    """A configuration as it may be logged: no ``spark`` section, and no value that looks like a key.

    >>> without_secrets({"store": "s", "spark": {"a": "b"}, "options": {"hf_token": "x", "seed": 1}})
    {'store': 's', 'options': {'hf_token': '***', 'seed': 1}}
    """
    if not isinstance(configuration, Mapping):
        return configuration
    return {key: _without_secret(key, value) for key, value in configuration.items() if key != "spark"}


def _without_secret(key: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _without_secret(str(name), inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_secret(key, inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        # JSON has no such number.
        return None
    if not isinstance(value, str):
        return value
    return HIDDEN if SECRET_NAME.search(key) else clean(value)


class TextLines(logging.Formatter):
    """``2026-05-04T12:00:00Z INFO prox_spark.tables.leases: took lease ingest``; what was raised follows, indented."""

    def format(self, record: logging.LogRecord) -> str:
        """See ``logging.Formatter``."""
        first = f"{_time(record, 'seconds')} {record.levelname} {record.name}: {_message(record)}"
        return "\n".join([first, *(f"  {clean(line)}" for line in self._raised(record))])

    def _raised(self, record: logging.LogRecord) -> list[str]:
        return self.formatException(record.exc_info).splitlines() if record.exc_info else []


class JsonLines(TextLines):
    """One JSON object a line: time, level, logger, message, what the message has as ``extra``, and ``exception``."""

    def format(self, record: logging.LogRecord) -> str:
        """See ``logging.Formatter``."""
        found: dict[str, Any] = {
            "time": _time(record, "milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
        }
        extra = {key: value for key, value in record.__dict__.items() if key not in _STANDARD and key not in found}
        found |= {key: _without_secret(key, value) for key, value in extra.items()}
        if record.exc_info:
            found["exception"] = [clean(line) for line in self._raised(record)]
        return json.dumps(found, default=lambda value: clean(str(value)))


def _message(record: logging.LogRecord) -> str:
    said = record.getMessage()
    # A warning includes the source line that raised it, indented; the first line already names its place.
    return clean(said.partition("\n  ")[0].rstrip() if record.name == "py.warnings" else said)


def _time(record: logging.LogRecord, precision: str) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to the current standard error, which a progress bar or a test may replace."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.addFilter(lambda record: record.levelno >= logging.WARNING or _is_ours(record.name))

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """Standard error."""
        return sys.stderr


def _is_ours(name: str) -> bool:
    return name == _OURS or name.startswith(f"{_OURS}.")


_handler = _StandardError()
_chosen: LogSettings | None = None
_before: tuple[int, bool] | None = None
"""The level and propagation of this package's logger before it was configured."""


def configure(settings: LogSettings | None) -> None:
    """Configure this process's log with ``settings``; ``None`` restores the state before the first call."""
    global _chosen, _before
    root, ours = logging.getLogger(), logging.getLogger(_OURS)
    if settings is not None:
        _handler.setFormatter(JsonLines() if settings.format == "json" else TextLines())
        if _before is None:
            _before = (ours.level, ours.propagate)
            root.addHandler(_handler)
            ours.addHandler(_handler)
            # The root logger may have other handlers (a notebook's), which would write each line twice.
            ours.propagate = False
            logging.captureWarnings(True)
        ours.setLevel(settings.level)
    elif _before is not None:
        logging.captureWarnings(False)
        root.removeHandler(_handler)
        ours.removeHandler(_handler)
        level, ours.propagate = _before
        ours.setLevel(level)
        _before = None
    _chosen = settings


def chosen() -> LogSettings | None:
    """The settings of ``configure``. They are sent to tasks, whose processes do not inherit them."""
    return _chosen


def follow(settings: LogSettings | None) -> None:
    """In a task: use the log settings of the driver's command line, if there are any."""
    if settings is not None:
        configure(settings)


@contextmanager
def written(settings: LogSettings) -> Iterator[None]:
    """Use ``settings`` for the log during the block."""
    before = _chosen
    configure(settings)
    try:
        yield
    finally:
        configure(before)
