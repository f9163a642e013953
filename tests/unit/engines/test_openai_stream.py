"""Many requests at a time: order, limits, use, what is left of an abandoned stream."""

import threading
from collections.abc import Iterator
from typing import Any

from endpoint import Endpoint, Handler, hangs, status
from openai_helpers import answers, ask, engine, requests

from prox_spark.engines.protocol import Request


def test_answers_come_in_any_order(endpoint: Endpoint) -> None:
    others = threading.Event()

    def late(handler: Handler, payload: dict[str, Any]) -> None:
        others.wait(60)
        answers()(handler, payload)

    endpoint.behaviours = {1: iter([late])}
    order = []
    for completion in engine(endpoint).stream(requests(1, 2, 3)):
        order.append(completion.id)
        if len(order) == 2:
            others.set()
    assert sorted(order[:2]) == [2, 3]
    assert order[2] == 1


def test_no_more_than_max_in_flight_are_unanswered_and_no_fewer_either(endpoint: Endpoint) -> None:
    together, now, most = threading.Barrier(4), 0, 0

    def counted(handler: Handler, payload: dict[str, Any]) -> None:
        nonlocal now, most
        with endpoint.lock:
            now += 1
            most = max(most, now)
        together.wait(60)  # Nobody is answered before four have asked.
        with endpoint.lock:
            now -= 1
        answers()(handler, payload)

    endpoint.usual = counted
    pulled: list[int] = []
    done: list[int] = []
    threads = set()

    def source() -> Iterator[Request]:
        for request in requests(*range(1, 21)):
            assert len(pulled) - len(done) < 4
            pulled.append(request.id)
            threads.add(threading.get_ident())
            yield request

    for completion in engine(endpoint, max_in_flight=4).stream(source()):
        done.append(completion.id)
    assert sorted(done) == list(range(1, 21))
    assert most == 4
    assert threads == {threading.get_ident()}


def test_an_abandoned_stream_leaves_nothing_behind(endpoint: Endpoint) -> None:
    endpoint.behaviours = {1: iter([hangs])}
    before = set(threading.enumerate())
    stream = engine(endpoint).stream(requests(1, 2))
    assert next(stream).id == 2
    stream.close()  # type: ignore[attr-defined]
    assert not [thread for thread in set(threading.enumerate()) - before if "portal" in thread.name]


def test_use_is_counted(endpoint: Endpoint) -> None:
    endpoint.behaviours = {1: iter([status(500), status(500)])}
    used = engine(endpoint)
    ask(used, 1, 2)
    ask(used, 3)
    usage = used.usage()
    assert (usage.retries, usage.restarts) == (2, 0)
    assert 0 < usage.busy_seconds <= usage.seconds
