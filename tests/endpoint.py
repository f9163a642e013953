"""A real HTTP server on the loopback that stands for an OpenAI-compatible endpoint and misbehaves on demand."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Behaviour = Callable[["Handler", dict[str, Any]], None]


class Handler(BaseHTTPRequestHandler):
    server: "Endpoint"
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        about = self.server.about(payload)
        with self.server.lock:
            self.server.seen.append(payload)
            self.server.keys.add(self.headers["Authorization"])
            behave = next(self.server.behaviours.get(about, iter(())), self.server.usual)
        behave(self, payload)

    def say(self, status: int, body: bytes, headers: dict[str, str] | None = None, length: int | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Endpoint(ThreadingHTTPServer):
    """``behaviours`` holds, by what a request is ``about``, what the next attempts meet; ``usual`` is what all others do."""

    daemon_threads = True

    def __init__(self, about: Callable[[dict[str, Any]], Any], usual: Behaviour) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.seen: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.about = about
        self.behaviours: dict[Any, Iterator[Behaviour]] = {}
        self.usual = usual
        self.stopped = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, *_: object) -> None:
        """A client that has gone is what some of these tests are about."""


def status(code: int, message: str = "no", kind: str | None = None, **headers: str) -> Behaviour:
    body = json.dumps({"error": {"message": message, "code": kind}}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler, _: handler.say(code, body, named)


def body(text: str) -> Behaviour:
    return lambda handler, _: handler.say(200, text.encode())


def half(handler: Handler, _: dict[str, Any]) -> None:
    handler.say(200, b'{"choices": [{"te', length=1000)
    handler.close_connection = True


def hangs(handler: Handler, _: dict[str, Any]) -> None:
    handler.server.stopped.wait()
    handler.close_connection = True


def trickles(handler: Handler, _: dict[str, Any]) -> None:
    """Never silent for long, and never done."""
    handler.say(200, b"", length=1_000_000)
    while not handler.server.stopped.wait(0.01):
        handler.wfile.write(b" ")
    handler.close_connection = True


@contextmanager
def serving(about: Callable[[dict[str, Any]], Any], usual: Behaviour) -> Iterator[Endpoint]:
    """An endpoint that serves for the length of the block."""
    with Endpoint(about, usual) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.stopped.set()
            server.shutdown()
            thread.join()
