"""What travels between a task and its engine comes out as it went in."""

import socket
import threading

import pytest

from prox_spark.engines.protocol import Completion, Request
from prox_spark.engines.supervised import wire


def test_a_request_and_its_answer_survive_the_way() -> None:
    request = Request(
        id=7,
        stage="chunk",
        text="not sent",
        token_ids=[0, 1, 70_000, 2**32 - 1],
        max_tokens=5,
        decision=(3, 4),
        grammar="g",
    )
    sent = wire.frame(wire.Ask([wire.question(request)]))
    received = wire.decode_to_server(sent[wire.HEADER.size :])
    (asked,) = received.questions
    assert wire.integers(asked.token_ids) == request.token_ids
    assert (asked.id, asked.max_tokens, asked.decision, asked.grammar) == (7, 5, (3, 4), "g")
    answer = wire.Answer(id=7, token_ids=[5], finish="length")
    assert wire.completion(answer) == Completion(id=7, token_ids=[5], finish="length")


def test_a_request_without_token_ids_is_refused() -> None:
    with pytest.raises(ValueError, match="token ids"):
        wire.question(Request(id=0, stage="chunk", text="x"))


def test_messages_are_put_together_from_pieces_and_an_ended_stream_is_an_error() -> None:
    ours, theirs = socket.socketpair()
    data = wire.frame(wire.Status("loading")) + wire.frame(wire.Answer(id=1, keep_score=0.5))

    def dribble() -> None:
        with theirs:
            for byte in data:
                theirs.send(bytes([byte]))

    sender = threading.Thread(target=dribble)
    sender.start()
    connection = wire.Connection(ours, 10.0)
    assert connection.receive() == wire.Status("loading")
    assert connection.receive() == wire.Answer(id=1, keep_score=0.5)
    with pytest.raises(ConnectionError):
        connection.receive()
    connection.close()
    sender.join()


def test_silence_has_a_limit() -> None:
    ours, theirs = socket.socketpair()
    with theirs, pytest.raises(TimeoutError):
        wire.Connection(ours, 0.01).receive()
    ours.close()


def test_a_frame_that_comes_in_pieces_is_read_though_the_wait_for_it_was_too_long() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = wire.Connection(ours, 0.05)
        whole = wire.frame(wire.Status("loading"))
        for piece in (whole[:2], whole[2:6], whole[6:]):
            with pytest.raises(TimeoutError):
                connection.receive()
            theirs.sendall(piece)
        assert connection.receive() == wire.Status("loading")
