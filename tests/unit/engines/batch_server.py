"""A loopback server with the shape of a provider's batch API (OpenAI's reference: files, batches)."""

import json
import re
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, dict[str, Any]]


def good(body: dict[str, Any]) -> Answer:
    """An answer that names the prompt's first token."""
    choice = {"text": f"program {body['prompt'][0]}", "finish_reason": "stop"}
    return 200, {"choices": [choice], "usage": {"completion_tokens": 3}}


def wrong(status: int, message: str, code: str | None = None) -> Answer:
    return status, {"error": {"message": message, "code": code}}


class Handler(BaseHTTPRequestHandler):
    server: "BatchServer"
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        server.keys.add(self.headers["Authorization"])
        if self.path == "/v1/files":
            found = re.search(rb'filename="[^"]+"\r\n(?:[^\r\n]+\r\n)*\r\n(.*?)\r\n--', content, re.DOTALL)
            assert found
            assert b'name="purpose"\r\n\r\nbatch\r\n' in content
            number = f"file-{len(server.files)}"
            server.files[number] = found[1]
            self.say(200, {"id": number, "object": "file"})
        elif self.path == "/v1/batches" and server.serves_batches:
            asked = json.loads(content)
            number = f"batch_{len(server.batches)}"
            server.batches[number] = {"id": number, "object": "batch", "status": "validating", **asked}
            lost, server.loses_created = server.loses_created, False
            self.say(503, {}) if lost else self.say(200, server.batches[number])
        elif self.path in ("/v1/completions", "/v1/chat/completions"):
            server.direct.append(json.loads(content))
            self.say(*server.answer(server.direct[-1]))
        else:
            self.say(404, {"detail": "Not Found"})

    def do_GET(self) -> None:
        parts = urllib.parse.urlsplit(self.path)
        server, number = self.server, parts.path.split("/")[-1]
        if parts.path == "/v1/batches" and server.serves_batches:
            asked = dict(urllib.parse.parse_qsl(parts.query))
            newest = list(reversed(server.batches.values()))
            ids = [batch["id"] for batch in newest]
            start = ids.index(asked["after"]) + 1 if "after" in asked else 0
            page = newest[start : start + server.page]
            self.say(200, {"data": page, "has_more": start + server.page < len(newest)})
        elif number in server.batches:
            if server.silent > 0:
                server.silent -= 1
                self.say(503, {})
                return
            if server.done and number not in server.held:
                server.finish(server.batches[number])
            self.say(200, server.batches[number])
        elif parts.path.endswith("/content") and parts.path.split("/")[-2] in server.files:
            self.say(200, server.files[parts.path.split("/")[-2]])
        else:
            self.say(404, {"detail": "Not Found"})

    def say(self, status: int, body: Any) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


class BatchServer(ThreadingHTTPServer):
    """``answer`` says what becomes of a request, ``end`` how batches end.

    ``done``: whether they do at the next look, those that are ``held`` left out.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.direct: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.answer: Callable[[dict[str, Any]], Answer] = good
        self.unanswered: Callable[[dict[str, Any]], bool] = lambda body: False
        self.end, self.done, self.page = "completed", True, 2
        self.held: set[str] = set()
        self.silent = 0
        self.serves_batches, self.loses_created = True, False

    def asked(self, number: str) -> list[dict[str, Any]]:
        """The requests of a batch."""
        return [json.loads(line) for line in self.files[self.batches[number]["input_file_id"]].splitlines()]

    def finish(self, batch: dict[str, Any]) -> None:
        if batch["status"] not in ("validating", "in_progress"):
            return
        batch["status"] = self.end
        if self.end == "failed":
            batch["errors"] = {
                "object": "list",
                "data": [{"code": "token_limit_exceeded", "message": "too many tokens"}],
            }
            return
        lines: dict[bool, list[bytes]] = {True: [], False: []}
        # In an order of its own.
        for asked in reversed(self.asked(batch["id"])):
            if self.unanswered(asked["body"]):
                continue
            status, body = self.answer(asked["body"])
            response = {"status_code": status, "request_id": "r", "body": body}
            said = {"id": "x", "custom_id": asked["custom_id"], "response": response, "error": None}
            lines[status == 200].append(json.dumps(said).encode())
        for kind, found in (("output_file_id", lines[True]), ("error_file_id", lines[False])):
            if found:
                batch[kind] = f"file-{len(self.files)}"
                self.files[batch[kind]] = b"\n".join(found) + b"\n"
        batch["request_counts"] = {"total": 9, "completed": len(lines[True]), "failed": len(lines[False])}


@contextmanager
def serving_batches() -> Iterator[BatchServer]:
    with BatchServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
