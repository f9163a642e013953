"""What the first request finds out about an endpoint, and what it does not take for it."""

import itertools
from typing import Any

import pytest
from endpoint import Behaviour, Endpoint, Handler, hangs, status
from openai_helpers import KNOWN, answers, ask, engine, requests
from servers import vllm

from prox_spark.engines.endpoint import client as openai_client
from prox_spark.engines.endpoint.engine import OpenaiEngine
from prox_spark.engines.endpoint.forms import GRAMMARS, Form
from prox_spark.errors import EngineError
from prox_spark.programs.grammar import DOCUMENT_EBNF, EBNF

UNHELD = Form()
PROSE = "Sure! Here is what I would remove:\nremove_lines(start=0, end=0)"


def without(*names: str) -> Behaviour:
    """A server that refuses these fields, and says so in its own way."""

    def behave(handler: Handler, payload: dict[str, Any]) -> None:
        found = sorted(payload.keys() & set(names))
        (status(400, f"unexpected: {', '.join(found)}") if found else answers())(handler, payload)

    return behave


def test_only_what_is_refused_is_left_out(endpoint: Endpoint) -> None:
    endpoint.usual = without("return_token_ids")
    ask(engine(endpoint, None), 1, 2)
    assert endpoint.seen[-1].keys() >= {"repetition_penalty", "logprobs"}
    assert "return_token_ids" not in endpoint.seen[-1]


def test_a_refusal_without_a_name_leaves_out_all_that_can_be(endpoint: Endpoint) -> None:
    def plain(handler: Handler, payload: dict[str, Any]) -> None:
        known = {"model", "prompt", "max_tokens", "temperature"}
        (answers() if payload.keys() == known else status(400, "no"))(handler, payload)

    endpoint.usual = plain
    found = ask(engine(endpoint, None), 1, 2)
    assert {completion.output for completion in found.values()} == {"program 1", "program 2"}
    assert isinstance(endpoint.seen[-1]["prompt"], list)


def test_one_refused_page_changes_nothing_for_the_others(endpoint: Endpoint) -> None:
    """Its prompt is too long; the probe's is not."""

    def short(handler: Handler, payload: dict[str, Any]) -> None:
        prompt = payload["prompt"]
        (status(400, "too long") if prompt[0] == 1 and payload["max_tokens"] == 9 else answers())(handler, payload)

    endpoint.usual = short
    found = ask(engine(endpoint, None, max_in_flight=1), 1, 2)
    assert found[1].error == "400: too long"
    assert endpoint.seen[-1].keys() >= {"return_token_ids", "repetition_penalty"}


def test_probes_are_short_and_few(endpoint: Endpoint) -> None:
    endpoint.usual = vllm("structured_outputs")
    used = OpenaiEngine(engine(endpoint)._settings, lambda ids: bytes(ids).decode())
    list(used.stream(requests(1, 2, 3, grammar=EBNF)))
    probes = [asked for asked in endpoint.seen if asked["max_tokens"] != 9]
    assert len(probes) == 2
    assert all(len(asked["prompt"]) <= 16 and asked["max_tokens"] <= 8 for asked in probes)


def test_a_passing_fault_of_the_probe_costs_another_attempt(endpoint: Endpoint) -> None:
    endpoint.behaviours = {1: iter([status(503), status(429)])}
    used = engine(endpoint, None, max_in_flight=1)
    assert ask(used, 1)[1].output == "program 1"
    assert used.usage().retries == 2
    assert "return_token_ids" in endpoint.seen[-1]


def test_a_server_that_is_down_fails_its_probe_for_all_that_wait_at_once(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_client, "IN_A_ROW", 8)
    endpoint.usual = status(503, "loading")
    with pytest.raises(EngineError, match="failed 8 requests in a row; last error: sent 3 times, 503: loading"):
        list(engine(endpoint, None, max_in_flight=8).stream(requests(*range(1, 9))))
    assert len(endpoint.seen) <= 8 * 3


def test_a_server_that_hangs_costs_all_that_wait_one_time_out(endpoint: Endpoint) -> None:
    endpoint.about = lambda payload: None
    endpoint.usual = hangs
    found = ask(engine(endpoint, None, timeout_seconds=0.5, retries=0, max_in_flight=4), 1, 2, 3, 4)
    assert {completion.error for completion in found.values()} == {"sent 1 times, no answer within 0.5 s"}
    assert len(endpoint.seen) == 1


def test_a_short_request_refused_in_every_form_ends_the_job_with_the_last_words(endpoint: Endpoint) -> None:
    endpoint.about = lambda payload: None
    endpoint.usual = status(400, "never")
    with pytest.raises(EngineError, match=r"refuses a short request in every form \(400: never\)") as raised:
        list(engine(endpoint, None).stream(requests(1)))
    assert "\n" not in str(raised.value)
    assert len(endpoint.seen) <= 8


def test_where_nothing_is_served_both_paths_are_named(endpoint: Endpoint) -> None:
    endpoint.about = lambda payload: None
    endpoint.usual = status(404, "Not Found")
    told = (
        r"has nothing at /v1/completions .*check engine\.base_url.*nothing at /v1/chat/completions \(404: Not Found\)"
    )
    with pytest.raises(EngineError, match=told) as raised:
        list(engine(endpoint, None).stream(requests(1)))
    assert len(endpoint.seen) == 2
    assert "\n" not in str(raised.value)


def test_a_filtered_probe_is_one_failed_row(endpoint: Endpoint) -> None:
    endpoint.behaviours = {1: itertools.repeat(status(400, "filtered", "content_filter"))}
    found = ask(engine(endpoint, None, max_in_flight=1), 1, 2)
    assert [found[n].finish for n in (1, 2)] == ["error", "stop"]
    assert "return_token_ids" in endpoint.seen[-1]


def test_prose_is_no_program_where_no_grammar_holds(endpoint: Endpoint) -> None:
    prose = "Sure! I would remove_lines(start=0, end=0) first."
    endpoint.behaviours = {1: iter([answers(prose)])}
    endpoint.usual = answers("remove_lines(start=0, end=0)")
    found = ask(engine(endpoint, UNHELD), 1, 2, grammar=EBNF)
    assert found[1].error == f"the endpoint ignores the grammar, and the answer is not a program: {prose!r}"
    assert found[2].output == "remove_lines(start=0, end=0)"
    assert not endpoint.seen[0].keys() & set(GRAMMARS)


@pytest.mark.parametrize(
    ("program", "finish", "passes"),
    [
        ("untouch_doc()", "stop", True),
        (' normalize(source_str="a", target_str="")\nremove_lines(start=1, end=2)', "stop", True),
        ("", "stop", True),
        ("remove_lines(start=0, end=0)\nremove_li", "length", True),
        ("remove_lines(start=0, end=0)\nremove_li", "stop", False),
        ("untouch_doc()\nremove_lines(start=1, end=2)", "stop", False),
        ("<think>\n</think>\nremove_lines(start=1, end=2)", "stop", True),
        ("Here you are:\nremove_lines(start=1, end=2)", "stop", True),
        ("remove_lines(start=0, end=0)\n" * 65, "stop", False),
        ("drop_doc()", "stop", False),
    ],
)
def test_our_own_parser_stands_in_for_the_grammar(endpoint: Endpoint, program: str, finish: str, passes: bool) -> None:
    endpoint.usual = answers(program, finish=finish)
    assert (ask(engine(endpoint, UNHELD), 1, grammar=EBNF)[1].finish != "error") is passes
    # Without a grammar it is the executor's business.
    assert ask(engine(endpoint, UNHELD), 1)[1].output == program
    # And a server that holds to the grammar is believed.
    assert ask(engine(endpoint, KNOWN), 1, grammar=EBNF)[1].output == program


def test_a_documents_answer_is_judged_where_its_decision_is_read(endpoint: Endpoint) -> None:
    endpoint.usual = answers("drop")
    assert ask(engine(endpoint, UNHELD), 1, grammar=DOCUMENT_EBNF)[1].output == "drop"


def test_a_model_that_says_the_start_of_the_word_by_chance_is_not_taken_for_held(endpoint: Endpoint) -> None:
    """Only a word that the grammar alone can bring counts, and an empty answer is none."""
    for said in ("7", "7 lines", "", "73914"):
        endpoint.usual = answers(said, finish="length")
        endpoint.seen.clear()
        used = engine(endpoint, None)
        list(used.stream(requests(1, grammar=EBNF)))
        assert not endpoint.seen[-1].keys() & set(GRAMMARS)


def test_the_body_of_a_request_is_pinned(endpoint: Endpoint) -> None:
    endpoint.usual = answers("fine")
    ask(engine(endpoint), 1, grammar="root ::= 'x'")
    ask(engine(endpoint, Form("chat")), 2)
    assert endpoint.seen == [
        {
            **{"model": "m", "prompt": [1, 1], "temperature": 0.0, "max_tokens": 9, "logprobs": 0},
            **{"repetition_penalty": 1.0, "return_token_ids": True, "structured_outputs": {"grammar": "root ::= 'x'"}},
        },
        {
            **{"model": "m", "messages": [{"role": "user", "content": "ba"}], "temperature": 0.0, "max_tokens": 9},
            "repetition_penalty": 1.0,
        },
    ]
