"""The ``scripted`` engine: answers from a table, faults on demand, a file that counts its calls."""

import hashlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from prox_spark.config.engines import ScriptedSettings
from prox_spark.engines.protocol import Completion, Request, Usage

_DEFAULTS = {"document": "keep_doc()", "chunk": "keep_chunk()"}


class ScriptedEngine:
    """Answers each request from ``settings.answers``; see ``ScriptedSettings`` for what can be made to go wrong."""

    def __init__(self, settings: ScriptedSettings) -> None:
        self._settings = settings

    def stream(self, requests: Iterator[Request]) -> Iterator[Completion]:
        """Answer each request before the next is pulled."""
        for request in requests:
            yield self._answer(request)

    def usage(self) -> Usage:
        """Nothing is measured: it answers in the task itself."""
        return Usage()

    def close(self) -> None:
        """Nothing is held."""

    def _answer(self, request: Request) -> Completion:
        settings, text = self._settings, request.text
        digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
        if settings.seconds_per_call:
            time.sleep(settings.seconds_per_call)
        if settings.crash_on is not None and settings.crash_on in text:
            _crash(settings.crash_marker)
        if settings.calls_file is not None:
            # One short write in append mode: processes that count into the same file do not mix their lines.
            with Path(settings.calls_file).open("a", encoding="utf-8") as calls:
                calls.write(f"{request.stage} {digest}\n")
        if settings.error_on is not None and settings.error_on in text:
            return Completion(id=request.id, finish="error", error=f"scripted error on {settings.error_on!r}")
        answer = self._look_up(text, digest)
        if answer is None:
            answer = settings.default if settings.default is not None else _DEFAULTS[request.stage]
        if isinstance(answer, str):
            return Completion(id=request.id, output=answer)
        if isinstance(answer, tuple):
            return Completion(id=request.id, scores=list(answer))
        return Completion(id=request.id, keep_score=answer)

    def _look_up(self, text: str, digest: str) -> str | float | tuple[float, ...] | None:
        answers = self._settings.answers
        if text in answers:
            return answers[text]
        if digest in answers:
            return answers[digest]
        return next((answer for part, answer in answers.items() if part in text), None)


def _crash(marker: str | None) -> None:
    """End this process as a killed engine would, at most once where there is a marker file."""
    if marker is not None:
        try:
            Path(marker).touch(exist_ok=False)
        except FileExistsError:
            return
    os.kill(os.getpid(), signal.SIGKILL)
