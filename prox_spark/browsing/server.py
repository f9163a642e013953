"""The HTTP server of ``browse``: only on the loopback interface, and only for clients that know the token in the address.

The standard library's server is enough for one user on one machine: a request is a thread that waits for Spark, a route is a
name, and nothing has to be installed on a cluster's driver. All of the server's security is in this module: which clients
it answers, which requests it accepts, and the headers of every answer.
"""

import hmac
import logging
import re
import secrets
import select
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from prox_spark.errors import UsageError

_log = logging.getLogger(__name__)

HOST = "127.0.0.1"

_OWN_NAME = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?")
"""Local names of this machine. A page of another site whose name resolves to this machine (DNS rebinding) sends that name."""

_MOST_BYTES = 200_000
"""Maximum size of a submitted form."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    # The address contains the token, which no other site may see. `no-referrer` would make the origin of our own forms "null".
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Request:
    """A request: the path below the token, parameters (for a submitted form: its fields), and whether it was sent by POST.

    ``gone`` says whether the client has disconnected.
    """

    path: str
    given: Mapping[str, str]
    sent: bool
    gone: Callable[[], bool]


@dataclass(frozen=True)
class Response:
    """An answer; ``location`` is a redirect, relative to the site."""

    status: int
    body: bytes
    kind: str = "text/html; charset=utf-8"
    location: str | None = None


Site = Callable[[Request], Response]


@dataclass(frozen=True)
class Bound:
    """A server that is bound to its port and does not serve yet; ``url`` contains the token."""

    server: ThreadingHTTPServer
    url: str

    def serve(self) -> None:
        """Answer until the process is interrupted or ``server.shutdown`` is called."""
        try:
            self.server.serve_forever(poll_interval=0.2)
        finally:
            self.server.server_close()


def bind(site: Site, port: int = 0) -> Bound:
    """A server of ``site`` on this port of the loopback interface; 0 selects a free port.

    Raises ``UsageError`` for a port in use.
    """
    token = secrets.token_urlsafe(32)

    class Handler(_Handler):
        pass

    Handler.site, Handler.token = staticmethod(site), token
    try:
        server = _Server((HOST, port), Handler)
    except OSError as error:
        raise UsageError(f"--port {port}: {error.strerror}; choose another, or 0 for a free one") from None
    return Bound(server, f"http://{HOST}:{server.server_address[1]}/{token}/")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


class _Handler(BaseHTTPRequestHandler):
    site: Site
    token: str
    # Timeout of an idle connection.
    timeout = 30
    server_version, sys_version = "prox_spark", ""

    def do_GET(self) -> None:
        self._serve(sent=False)

    def do_POST(self) -> None:
        self._serve(sent=True)

    def _serve(self, sent: bool) -> None:
        url = urlsplit(self.path)
        refusal = self._refusal(sent)
        path = self._below_token(url.path)
        if refusal is not None:
            self._answer(_plain(403, refusal))
        elif path is None:
            self._answer(_plain(404, "Not found. Open the whole address that `prox-spark browse` printed."))
        elif (query := self._form() if sent else url.query) is None:
            self._answer(_plain(413, f"A form may send {_MOST_BYTES:,} bytes."))
        else:
            given = dict(parse_qsl(query, keep_blank_values=True, errors="replace"))
            _log.debug("browse: %s /%s", self.command, path)
            try:
                self._answer(self.site(Request(path, given, sent, self._gone)))
            except ConnectionError:
                _log.debug("browse: /%s: nobody waits for the answer", path)

    def _refusal(self, sent: bool) -> str | None:
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or not _OWN_NAME.fullmatch(hosts[0].lower()):
            return "This server answers to its own names only: 127.0.0.1 and localhost."
        origin = self.headers.get("Origin")
        if sent and origin is not None and origin != f"http://{hosts[0]}":
            return "This form comes from another site."
        return None

    def _below_token(self, path: str) -> str | None:
        first, slash, rest = path.removeprefix("/").partition("/")
        known = hmac.compare_digest(first.encode("utf-8", "replace"), self.token.encode())
        return rest if known and slash else None

    def _form(self) -> str | None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _MOST_BYTES:
            self.close_connection = True
            return None
        return self.rfile.read(int(length)).decode("utf-8", "replace")

    def _gone(self) -> bool:
        try:
            readable, _, _ = select.select([self.connection], [], [], 0)
            return bool(readable) and self.connection.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            return True

    def _answer(self, response: Response) -> None:
        self.send_response(response.status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        if response.location is not None:
            self.send_header("Location", f"/{self.token}/{response.location}")
        self.send_header("Content-Type", response.kind)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        self.wfile.write(response.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """The base class's answer to a malformed request, with our headers and without the request's text."""
        self.close_connection = True
        self._answer(_plain(int(code), "This request is not understood."))

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the line would show the token."""


def _plain(status: int, text: str) -> Response:
    return Response(status, f"{text}\n".encode(), "text/plain; charset=utf-8")
