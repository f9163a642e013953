"""Servers of other makers, as they behave by their documents: each runs or is refused in one line."""

import itertools
import logging
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from endpoint import Endpoint, serving
from openai_helpers import DROP, KEEP, ask, letters, requests, settings
from servers import PROGRAM, SERVERS, Server

from prox_spark.engines.endpoint.engine import OpenaiEngine
from prox_spark.engines.endpoint.forms import GRAMMARS
from prox_spark.errors import EngineError
from prox_spark.programs.grammar import EBNF

MOST_PROBES = 14


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Server:
    return SERVERS[request.param]


@pytest.fixture
def endpoint(server: Server, quick: None) -> Iterator[Endpoint]:
    with serving(lambda payload: None, server.behave) as running:
        running.url = running.url.replace("/v1", server.path)
        yield running


def decode(ids: list[int]) -> str:
    return letters(ids) if max(ids) < 27 else bytes(ids).decode()


def test_programs_come_under_the_grammar_or_are_checked_and_what_is_lacking_is_logged_once(
    server: Server, endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    used = OpenaiEngine(settings(endpoint.url, max_in_flight=4), decode)
    with caplog.at_level(logging.WARNING, "prox_spark"):
        found = ask(used, 1, 2, 3, 4, 5, grammar=EBNF)
        probes = len(endpoint.seen) - 5
        found |= ask(used, 6, grammar=EBNF)
    outputs = {decode(one.token_ids) if one.token_ids else one.output for one in found.values()}
    assert outputs == {PROGRAM}
    assert {one.finish for one in found.values()} == {"stop"}
    assert probes <= MOST_PROBES
    assert len(endpoint.seen) == probes + 6
    last = endpoint.seen[-1]
    assert type(last.get("prompt", {})) is server.prompt
    assert last["temperature"] == 0.0
    assert last.keys() & set(GRAMMARS) == ({server.grammar} if server.grammar else set())
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == (1 if server.told else 0)
    for told in server.told:
        assert told in lines[0]


def test_programs_come_without_a_grammar_too(server: Server, endpoint: Endpoint) -> None:
    found = ask(OpenaiEngine(settings(endpoint.url), decode), 1, 2)
    assert {decode(one.token_ids) if one.token_ids else one.output for one in found.values()} == {PROGRAM}
    assert not endpoint.seen[-1].keys() & set(GRAMMARS)


def test_decisions_are_made_or_refused_in_one_line(server: Server, endpoint: Endpoint) -> None:
    used = OpenaiEngine(settings(endpoint.url), decode)
    if server.decides is True:
        found = ask(used, 1, 2, decision=(KEEP, DROP))
        assert [one.keep_score for one in found.values()] == pytest.approx([1 / (1 + math.exp(-2))] * 2)
        return
    with pytest.raises(EngineError, match=str(server.decides)) as raised:
        list(used.stream(requests(1, 2, decision=(KEEP, DROP))))
    assert "\n" not in str(raised.value)
    assert endpoint.url in str(raised.value)
    assert len(endpoint.seen) <= MOST_PROBES


def test_the_documentation_has_every_server_as_it_is_seen_here() -> None:
    lines = (Path(__file__).parents[3] / "docs" / "running.md").read_text(encoding="utf-8").splitlines()
    start = lines.index(next(line for line in lines if line.startswith("| server |"))) + 2
    table = list(itertools.takewhile(lambda line: line.startswith("|"), lines[start:]))
    prompts = {list: "token ids", str: "text", dict: "chat"}
    expected = {
        f"| {name} | {prompts[server.prompt]} | {f'`{server.grammar}`' if server.grammar else 'checked here'} | "
        f"{'yes' if server.decides is True else 'refused'} |"
        for name, server in SERVERS.items()
    }
    assert set(table) == expected


@pytest.mark.parametrize("server", [SERVERS["Ollama"]], indirect=False)
def test_a_model_that_is_not_pulled_is_named(server: Server, endpoint: Endpoint) -> None:
    with pytest.raises(EngineError, match=r"has no model 'x' \(404: .*try pulling it"):
        list(OpenaiEngine(settings(endpoint.url, model="x"), decode).stream(requests(1)))
