"""A proxy before an object store that loses answers: a commit's first PUT arrives there, and nobody hears that it did."""

import http.client
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from urllib.parse import unquote, urlsplit

_COMMIT = re.compile(r"/_delta_log/\d{20}\.json$")
_OF_ONE_CONNECTION = {"connection", "keep-alive", "transfer-encoding"}


class Handler(BaseHTTPRequestHandler):
    server: "LosingProxy"
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Every method."""
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
        behind = http.client.HTTPConnection(self.server.behind)
        try:
            behind.request(self.command, self.path, body or None, headers)
            answer = behind.getresponse()
            content = answer.read()
        finally:
            behind.close()
        if self.command == "PUT" and answer.status == 200 and self.server.loses(self.path):
            self.close_connection = True
            return
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in _OF_ONE_CONNECTION:
                self.send_header(name, value)
        if answer.getheader("Content-Length") is None:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 -- names of http.server

    def log_message(self, *_: object) -> None:
        pass


class LosingProxy(ThreadingHTTPServer):
    """``lost`` holds the path of each commit whose answer was lost, in order."""

    daemon_threads = True

    def __init__(self, behind: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behind = urlsplit(behind).netloc
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.lost: list[str] = []
        self.lock = Lock()

    def loses(self, path: str) -> bool:
        """Whether the answer to this PUT goes the way of all first ones."""
        name = unquote(urlsplit(path).path)
        with self.lock:
            if not _COMMIT.search(name) or name in self.lost:
                return False
            self.lost.append(name)
            return True

    def handle_error(self, *_: object) -> None:
        """A client that closed its connection."""


@contextmanager
def losing(behind: str) -> Iterator[LosingProxy]:
    """A proxy before the server at this URL, for the length of the block."""
    with LosingProxy(behind) as proxy:
        thread = Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
