"""The protocol between a task and its engine's supervisor: msgpack frames with a four-byte length over a Unix socket.

A client opens with ``Hello``, hears ``Status`` until ``Ready``, then sends ``Ask`` and gets ``Answer`` in any order.
``Failed`` and ``Gone`` end the conversation. ``Status`` also comes while answers are awaited, so that silence means a
supervisor that hangs.
"""

import socket
import struct
from array import array
from typing import Any

import msgspec

from prox_spark.engines.protocol import Completion, Request

HEADER = struct.Struct("<I")
MAX_FRAME = 1 << 30
"""Larger frames are refused: no prompt comes near."""


class Hello(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Which model the client wants: equal hellos share one engine.

    ``digest`` is of the model's files and this package: an engine that holds what was in the folder before is not shared.
    ``label`` is the class whose probability is asked of a token classifier; ``None`` for a model that writes. ``alone``
    names a stream that wants an engine for itself, at once, to find the request that its engines die of.
    """

    backend: str
    model: str
    context: int
    options: dict[str, Any]
    label: int | None = None
    alone: str = ""
    digest: str = ""


class Question(msgspec.Struct, array_like=True):
    """A request as it travels: ids and positions are unsigned 32-bit integers in the machine's byte order."""

    id: int
    token_ids: bytes
    max_tokens: int
    decision: tuple[int, int] | None
    positions: bytes | None
    grammar: str | None


class Ask(msgspec.Struct, tag=True, array_like=True):
    """Questions to answer; none is a question for the ``Status``."""

    questions: list[Question]


class Status(msgspec.Struct, tag=True, array_like=True):
    """The supervisor is alive: ``loading`` the model, ``waiting`` for another model's requests, or ``serving``.

    Ready for ``seconds`` by its own clock, for ``busy_seconds`` of them with a request open.
    """

    state: str
    seconds: float = 0.0
    busy_seconds: float = 0.0


class Ready(msgspec.Struct, tag=True, array_like=True):
    """The model is loaded: ask."""


class Answer(msgspec.Struct, tag=True, array_like=True, omit_defaults=True):
    """The answer to the question of the same ``id``; fields as in ``Completion``."""

    id: int
    token_ids: list[int] | None = None
    token_logprobs: list[float] | None = None
    keep_score: float | None = None
    scores: list[float] | None = None
    finish: str = "stop"
    error: str | None = None


class Failed(msgspec.Struct, tag=True, array_like=True):
    """The model cannot be loaded; trying again would not help."""

    reason: str


class Gone(msgspec.Struct, tag=True, array_like=True):
    """The engine ends; ``failed`` says whether by a fault (its open requests are lost) or to make room."""

    reason: str
    failed: bool


ToServer = Hello | Ask
ToClient = Status | Ready | Answer | Failed | Gone

_encoder = msgspec.msgpack.Encoder()
decode_to_server = msgspec.msgpack.Decoder(ToServer).decode
decode_to_client = msgspec.msgpack.Decoder(ToClient).decode


def frame(message: ToServer | ToClient) -> bytes:
    """``message`` as bytes on the wire."""
    body = _encoder.encode(message)
    return HEADER.pack(len(body)) + body


def question(request: Request) -> Question:
    """A request as it travels. Raises ``ValueError`` where it has no token ids."""
    if request.token_ids is None:
        raise ValueError("an engine with a model accepts only token ids")
    return Question(
        id=request.id,
        token_ids=array("I", request.token_ids).tobytes(),
        max_tokens=request.max_tokens,
        decision=request.decision,
        positions=None if request.positions is None else array("I", request.positions).tobytes(),
        grammar=request.grammar,
    )


def integers(packed: bytes) -> list[int]:
    """The token ids or positions of a question."""
    unpacked = array("I")
    unpacked.frombytes(packed)
    return unpacked.tolist()


def completion(answer: Answer) -> Completion:
    """An answer as the engine protocol has it."""
    return Completion(
        id=answer.id,
        token_ids=answer.token_ids,
        token_logprobs=answer.token_logprobs,
        keep_score=answer.keep_score,
        scores=answer.scores,
        finish=answer.finish,  # type: ignore[arg-type]  # the server sends the protocol's three words only
        error=answer.error,
    )


class Connection:
    """A client's side of one conversation. Every method raises ``OSError`` where the other side is gone or silent."""

    def __init__(self, connected: socket.socket, silence_seconds: float) -> None:
        self._socket = connected
        self._socket.settimeout(silence_seconds)
        self._received = bytearray()

    def peer(self) -> int:
        """Process id of the other side, as the kernel knows it; 0 where it lives among other process ids."""
        credentials = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid, _, _ = struct.unpack("3i", credentials)
        return int(pid)

    def send(self, message: ToServer) -> None:
        """Send one message."""
        self._socket.sendall(frame(message))

    def receive(self) -> ToClient:
        """The next message. ``TimeoutError`` after the silence limit, ``ConnectionError`` at the end of the stream.

        After a ``TimeoutError`` it can be called again: nothing is lost of what came before.
        """
        self._fill(HEADER.size)
        size = HEADER.unpack_from(self._received)[0]
        if size > MAX_FRAME:
            raise ConnectionError(f"a frame of {size} bytes")
        end = HEADER.size + size
        self._fill(end)
        message: ToClient = decode_to_client(bytes(self._received[HEADER.size : end]))
        del self._received[:end]
        return message

    def close(self) -> None:
        """End the conversation."""
        self._socket.close()

    def _fill(self, size: int) -> None:
        while len(self._received) < size:
            data = self._socket.recv(1 << 18)
            if not data:
                raise ConnectionError("the engine's supervisor closed the connection")
            self._received += data
