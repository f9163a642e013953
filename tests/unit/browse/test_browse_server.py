"""The server of ``browse``: whom it answers, what it takes, and what goes with every answer. Over real connections."""

import http.client
import socket
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from prox_spark.browsing.server import HEADERS, HOST, Bound, Request, Response, bind
from prox_spark.errors import UsageError


class Served:
    """A server in a thread of this process, and what its site was asked."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.gone = threading.Event()
        self.bound: Bound = bind(self.site)
        url = urlsplit(self.bound.url)
        self.port, self.token = url.port or 0, url.path.strip("/")

    def site(self, request: Request) -> Response:
        self.requests.append(request)
        if request.path == "slow":
            while not request.gone():
                self.gone.wait(0.01)
            self.gone.set()
            raise ConnectionAbortedError("nobody waits")
        if request.path == "elsewhere":
            return Response(303, b"", location="document?id=a")
        return Response(200, b"<p>page</p>")

    def ask(
        self, path: str, method: str = "GET", host: str | None = None, body: str | None = None, **headers: str
    ) -> tuple[int, dict[str, str], str]:
        """Status, headers and text of an answer; ``path`` is from the root."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        if host != "":
            connection.putheader("Host", host or f"{HOST}:{self.port}")
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        if body is not None and "Content_Length" not in headers:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body.encode() if body is not None else None)
        answer = connection.getresponse()
        found = answer.status, dict(answer.getheaders()), answer.read().decode()
        connection.close()
        return found


@pytest.fixture
def served() -> Iterator[Served]:
    one = Served()
    thread = threading.Thread(target=one.bound.serve, daemon=True)
    thread.start()
    yield one
    one.bound.server.shutdown()
    thread.join()


def test_it_listens_on_this_machine_alone_under_an_address_that_nobody_guesses(served: Served) -> None:
    assert served.bound.server.server_address[0] == "127.0.0.1"
    assert len(served.token) >= 43
    assert bind(served.site).url.rpartition(":")[2].partition("/")[2].strip("/") != served.token


def test_a_request_with_the_token_is_answered(served: Served) -> None:
    status, _, text = served.ask(f"/{served.token}/documents?text=a%26b&source=&text=c")
    assert (status, text) == (200, "<p>page</p>")
    (request,) = served.requests
    assert (request.path, request.given, request.sent) == ("documents", {"text": "c", "source": ""}, False)


@pytest.mark.parametrize(
    "path",
    ["/", "/documents", "//", "/{other}/documents", "/{token}", "/{half}/documents", "/{token}x/documents", "/%00/", "*",
     "http://evil.example/{token}/documents"],
)  # fmt: skip
def test_without_the_token_nothing_is_there(served: Served, path: str) -> None:
    named = path.format(token=served.token, other="x" * 43, half=served.token[:20])
    status, _, text = served.ask(named)
    if "evil" in path:
        # A proxy's way to write an address: its path counts, and the Host header, which was ours.
        assert status == 200
        return
    assert status == 404
    assert served.token not in text
    assert served.requests == []


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.", "10.0.0.1", ""]
)
def test_a_name_that_points_here_from_elsewhere_is_refused(served: Served, host: str) -> None:
    status, _, _ = served.ask(f"/{served.token}/", host=host)
    assert status == 403
    assert served.requests == []


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1234", "127.0.0.1", "[::1]:9", "127.0.0.1:80"])
def test_names_of_this_machine_are_its_own_also_through_a_tunnel(served: Served, host: str) -> None:
    assert served.ask(f"/{served.token}/", host=host)[0] == 200


@pytest.mark.parametrize("path", ["/{token}/", "/wrong/", "/{token}/elsewhere"])
def test_every_answer_has_the_headers_that_keep_page_text_harmless(served: Served, path: str) -> None:
    _, headers, _ = served.ask(path.format(token=served.token))
    assert HEADERS.items() <= headers.items()
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "Set-Cookie" not in headers
    assert "Python" not in headers["Server"]


def test_a_form_is_taken_from_our_own_pages_only(served: Served) -> None:
    def send(**headers: str) -> int:
        return served.ask(f"/{served.token}/sql", "POST", body="select=SELECT+1%0D%0A", **headers)[0]

    assert send(Origin="http://evil.example") == 403
    assert send(Origin="null") == 403
    assert send(Origin=f"http://{HOST}:{served.port}") == 200
    assert send() == 200
    assert [request.given for request in served.requests] == [{"select": "SELECT 1\r\n"}] * 2
    assert all(request.sent for request in served.requests)


@pytest.mark.parametrize("length", ["1000000000", "-1", "x", ""])
def test_a_form_without_a_sensible_length_is_refused_unread(served: Served, length: str) -> None:
    status, _, _ = served.ask(f"/{served.token}/sql", "POST", body="", Content_Length=length)
    assert status == 413
    assert served.requests == []


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT"])
def test_other_methods_are_not_known(served: Served, method: str) -> None:
    assert served.ask(f"/{served.token}/", method)[0] == 501
    assert served.requests == []


def test_what_is_no_http_gets_an_answer_without_its_text(served: Served) -> None:
    with socket.create_connection((HOST, served.port), timeout=30) as connection:
        connection.sendall(b"GET <script>alert(1)</script> HTTP/9.9 x\r\n\r\n")
        answer = b""
        while part := connection.recv(65536):
            answer += part
    assert b"script>alert" not in answer
    assert served.ask(f"/{served.token}/")[0] == 200


def test_a_redirect_stays_below_the_token(served: Served) -> None:
    status, headers, _ = served.ask(f"/{served.token}/elsewhere")
    assert (status, headers["Location"]) == (303, f"/{served.token}/document?id=a")


def test_the_site_learns_that_nobody_waits_any_more(served: Served) -> None:
    connection = socket.create_connection((HOST, served.port), timeout=30)
    connection.sendall(f"GET /{served.token}/slow HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    while not served.requests:
        threading.Event().wait(0.01)
    connection.close()
    assert served.gone.wait(30)


def test_a_port_that_is_taken_is_named(served: Served) -> None:
    def site(_: Any) -> Response:
        return Response(200, b"")

    with pytest.raises(UsageError, match=f"--port {served.port}: "):
        bind(site, served.port)
