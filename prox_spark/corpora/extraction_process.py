"""Extracts the text of pages, in a child process if a page may be dangerous.

A parser is compiled code, which Python cannot interrupt, and a page of some kilobytes can make it run for hours, use all
memory or crash (formatting elements that are never closed, thousands of attributes, a million nested elements). So a child
process parses pages, with limits on CPU time and memory for each page; the operating system kills it if a page exceeds them,
even if this process has died. A small page with few tags cannot cost much and is parsed in this process.

The page and its text go through shared memory; only their lengths go through pipes.
"""

import atexit
import importlib
import logging
import mmap
import os
import resource
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

from prox_spark.corpora.encodings import codec_of, decode_page
from prox_spark.corpora.extraction import EXTRACTORS, Extractor, check_extractor
from prox_spark.errors import InstallationError

MAX_PAGE = 64 << 20
"""Maximum bytes of a page, before and after decoding, and of its text."""

CPU_SECONDS = 10
"""Maximum CPU time for a page."""

# A parser copies unclosed elements for each following tag, so its time and memory can grow with a page's bytes times its tags.
# The worst page found below these takes 0.2 s and 170 MiB.
_SMALL_PAGE = 32 << 10
_SMALL_PRODUCT = 10_000_000
_LARGE_PAGE = 8 << 20  # after such a page a new child is started, which frees the memory
_MEMORY = 512 << 20
_MEMORY_A_BYTE = 64
# Settings of glibc. By default it returns memory after each page, and the kernel clears it again for the next one.
_KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(32 << 20), "MALLOC_MMAP_THRESHOLD_": str(32 << 20)}
_START_SECONDS = 60
# A page that waits for a CPU is not slow, so this limit is generous; it is for a child that hangs.
_WAIT_SECONDS = 300

_REQUEST = struct.Struct("<Q40s")  # bytes of the page, the label of its charset
_ANSWER = struct.Struct("<cQ")  # the kind of answer, bytes of the text
_TEXT, _LARGE, _MALFORMED, _MEMORY_SPENT = b"t", b"l", b"e", b"m"


class NoText(Exception):  # noqa: N818 -- a fact about the data that becomes a quarantine row, never a user's error
    """No text can be extracted from a page: ``error_class`` and the message say why."""

    def __init__(self, error_class: str, message: str) -> None:
        super().__init__(message)
        self.error_class = error_class


def html_to_text(body: bytes, charset: str | None, name: str) -> str:
    """The text of an HTML page by the extractor ``name``; ``charset`` is the label of the HTTP header.

    Raises ``NoText`` with ``MalformedHtml``, with ``TooComplex`` if the page takes more than ``CPU_SECONDS`` or too much
    memory, or crashes the parser, and with ``TooLarge`` if its text is longer than ``MAX_PAGE``. Raises ``InstallationError``
    if the extractor's library is missing or a child cannot be started.
    """
    found = EXTRACTORS[name]
    small = not found.apart and len(body) <= _SMALL_PAGE and len(body) * body.count(b"<") <= _SMALL_PRODUCT
    kind, data = _answer(body, charset, found) if small else _ask_child(body, charset, name)
    if kind == _TEXT:
        return data.decode()
    if kind == _LARGE:
        raise NoText("TooLarge", f"the text of the page is longer than {MAX_PAGE} bytes")
    if kind == _MEMORY_SPENT:
        raise NoText("TooComplex", "the HTML takes too much memory for its size")
    raise NoText("MalformedHtml", f"the HTML cannot be parsed: {data.decode()}")


def _answer(body: bytes, charset: str | None, found: Extractor) -> tuple[bytes, bytes]:
    try:
        text = found.extract(decode_page(body, charset)).encode("utf-8", "replace")
    except (MemoryError, RecursionError):
        return _MEMORY_SPENT, b""
    except Exception as error:  # noqa: BLE001 -- recorded: an unexpected error costs this page, never the file
        return _MALFORMED, type(error).__name__.encode()
    return (_TEXT, text) if len(text) <= MAX_PAGE else (_LARGE, b"")


# This process


def _ask_child(body: bytes, charset: str | None, name: str) -> tuple[bytes, bytes]:
    with _lock:
        # Another process may kill the child, or use up the memory: so a second child tries the page again.
        for last in (False, True):
            child = _children.get(name)
            if child is None or child.owner != os.getpid():
                child = _children[name] = _Child(name)
            try:
                answer = child.ask(body, charset)
            except TimeoutError:
                _children.pop(name).end()
                raise NoText("TooComplex", f"the parser did not answer within {_WAIT_SECONDS} seconds") from None
            if answer is None or len(body) > _LARGE_PAGE:
                del _children[name]
                ended = child.end()
            if answer is not None:
                return answer
            if ended == -signal.SIGXCPU:
                raise NoText("TooComplex", f"the HTML takes more than {CPU_SECONDS} seconds of processor time")
            if last:
                how = f"signal {-ended}" if ended < 0 else f"exit code {ended}"
                raise NoText("TooComplex", f"the HTML ends its parser ({how})")
    raise AssertionError


class _Child:
    """A child process that extracts the text of pages, one at a time."""

    def __init__(self, name: str) -> None:
        check_extractor(name)
        self.owner = os.getpid()
        # Spark adds a job's Python files to sys.path, which a child does not inherit.
        environment = {
            **_KEEP_MEMORY,
            **os.environ,
            "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        }
        file = os.memfd_create("prox-spark-page")
        try:
            os.truncate(file, MAX_PAGE)
            self._memory = mmap.mmap(file, MAX_PAGE)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "prox_spark.corpora.extraction_process", name, str(file), str(CPU_SECONDS)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                pass_fds=(file,),
                env=environment,
            )
        except OSError as error:
            raise InstallationError(f"the process that parses HTML cannot be started: {error}") from error
        finally:
            os.close(file)
        try:
            started = self._receive(_START_SECONDS)
        except TimeoutError:
            started = None
        if started is None:
            raise InstallationError(
                f"the process that parses HTML does not start (exit code {self.end()}): see its log"
            )

    def ask(self, body: bytes, charset: str | None) -> tuple[bytes, bytes] | None:
        """The answer for a page; ``None`` if the child has ended. Raises ``TimeoutError`` if it does not answer."""
        assert self._process.stdin is not None
        label = charset.strip().lower().encode() if charset and codec_of(charset) else b""
        self._memory[: len(body)] = body
        try:
            self._process.stdin.write(_REQUEST.pack(len(body), label))
        except BrokenPipeError:
            return None
        answer = self._receive(_WAIT_SECONDS)
        if answer is None:
            return None
        kind, size = _ANSWER.unpack(answer)
        return kind, self._memory[:size]

    def _receive(self, seconds: float) -> bytes | None:
        assert self._process.stdout is not None
        ready = select.poll()
        ready.register(self._process.stdout, select.POLLIN)
        if not ready.poll(seconds * 1_000):
            raise TimeoutError
        return self._process.stdout.read(_ANSWER.size) or None

    def end(self) -> int:
        """Stop the child and return its exit code. It exits at the end of its input, or is killed."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        try:
            return self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
        finally:
            self._memory.close()


_children: dict[str, _Child] = {}
_lock = threading.Lock()


@atexit.register
def end_children() -> None:
    """End the children of this process."""
    for name in list(_children):
        child = _children.pop(name)
        if child.owner == os.getpid():
            child.end()


# The child


def main() -> None:
    """Answer requests until the input ends.

    ``argv``: the extractor, the descriptor of the shared memory, and the seconds of CPU time for a page.
    """
    name, file, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    channel = os.dup(1)
    os.dup2(2, 1)  # output of libraries must not mix with the answers
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles it
    logging.disable()
    found = EXTRACTORS[name]
    importlib.import_module(found.library)
    memory = mmap.mmap(file, MAX_PAGE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    own = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    os.write(channel, _ANSWER.pack(_TEXT, 0))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # later output is about pages: discard it
    while request := os.read(0, _REQUEST.size):
        size, label = _REQUEST.unpack(request)
        _limit(resource.RLIMIT_CPU, int(time.process_time()) + 1 + seconds)
        _limit(resource.RLIMIT_AS, own + _MEMORY + _MEMORY_A_BYTE * size)
        kind, data = _answer(memory[:size], label.rstrip(b"\0").decode() or None, found)
        memory[: len(data)] = data
        os.write(channel, _ANSWER.pack(kind, len(data)))


def _limit(what: int, value: int) -> None:
    _, most = resource.getrlimit(what)
    resource.setrlimit(what, (value if most == resource.RLIM_INFINITY else min(value, most), most))


if __name__ == "__main__":
    main()
