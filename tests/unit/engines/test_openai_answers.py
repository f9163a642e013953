"""What the openai engine makes of good answers."""

import json
import math
import re
from typing import Any

import pytest
from endpoint import Endpoint, body
from openai_helpers import answers, ask, engine

from prox_spark.engines.endpoint.finishes import FINISHES
from prox_spark.engines.protocol import Completion


def test_a_text_comes_with_its_count_of_tokens_and_its_end(endpoint: Endpoint) -> None:
    endpoint.behaviours = {2: iter([answers("cut", usage=9, finish="length")])}
    found = ask(engine(endpoint), 1, 2)
    assert found[1] == Completion(id=1, output="program 1", output_tokens=3)
    assert found[2] == Completion(id=2, output="cut", output_tokens=9, finish="length")
    # Both are in flight at once: which arrives first is not said.
    assert sorted((a["model"], a["prompt"], a["max_tokens"], a["temperature"]) for a in endpoint.seen) == [
        ("m", [1, 1], 9, 0.0),
        ("m", [2, 1], 9, 0.0),
    ]


def test_token_ids_are_preferred_where_the_endpoint_gives_them(endpoint: Endpoint) -> None:
    endpoint.usual = answers(token_ids=[7, 8], logprobs={"token_logprobs": [-0.5, -0.25]})
    found = ask(engine(endpoint), 1)
    assert found[1] == Completion(id=1, token_ids=[7, 8], token_logprobs=[-0.5, -0.25])
    endpoint.usual = answers(token_ids=[7, 8], logprobs={"token_logprobs": [-0.5]})
    assert ask(engine(endpoint), 1)[1].token_logprobs is None


def test_prompts_go_as_text_where_that_is_wanted(endpoint: Endpoint) -> None:
    endpoint.usual = answers("fine")
    assert ask(engine(endpoint, prompt="text"), 3)[3].output == "fine"
    assert endpoint.seen[0]["prompt"] == "ca"


def test_a_grammar_is_sent_along(endpoint: Endpoint) -> None:
    ask(engine(endpoint), 1, grammar="root ::= 'x'")
    assert endpoint.seen[0]["structured_outputs"] == {"grammar": "root ::= 'x'"}


def test_what_a_filter_stops_is_not_asked_again(endpoint: Endpoint) -> None:
    endpoint.behaviours = {1: iter([answers(finish="content_filter")])}
    found = ask(engine(endpoint), 1)
    assert found[1].finish == "error"
    assert len(endpoint.seen) == 1


FINISHED = {
    "eos_token": "stop",
    "stop_sequence": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "STOP": "stop",
    "": "stop",
    None: "stop",
    "COMPLETE": "stop",
    "max_tokens": "length",
    "MAX_TOKENS": "length",
    "length": "length",
    "model_length": "length",
    "repetition": "length",
    "max_output_tokens": "length",
    "completed": "stop",
    "end": "stop",
    "eosFound": "stop",
    "contextLengthReached": "length",
    "TOOL_CALL": "stop",
    "tool-calls": "stop",
    "FinishReason.STOP": "stop",
    "FINISH_REASON_MAX_TOKENS": "length",
    "REASON_MAX_LEN": "length",
    " stop\n": "stop",
    "null": "stop",
    "None": "stop",
}


@pytest.mark.parametrize("reason", FINISHED)
def test_every_server_says_in_its_own_words_why_an_answer_ended(endpoint: Endpoint, reason: str | None) -> None:
    endpoint.usual = answers("fine", finish=reason)
    assert ask(engine(endpoint), 1)[1] == Completion(id=1, output="fine", output_tokens=3, finish=FINISHED[reason])  # type: ignore[arg-type]
    assert len(endpoint.seen) == 1


def test_a_finish_reason_may_be_missing_altogether(endpoint: Endpoint) -> None:
    endpoint.usual = body('{"choices": [{"text": "fine"}]}')
    assert ask(engine(endpoint), 1)[1] == Completion(id=1, output="fine")


def test_without_a_reason_an_answer_of_all_its_tokens_was_cut(endpoint: Endpoint) -> None:
    endpoint.usual = answers("as long as may be", finish=None, usage=9)
    assert ask(engine(endpoint), 1)[1].finish == "length"


def test_an_answer_without_reason_and_text_has_broken_off(endpoint: Endpoint) -> None:
    endpoint.behaviours = {1: iter([answers("", finish=None)])}
    used = engine(endpoint)
    assert ask(used, 1)[1].output == "program 1"
    assert used.usage().retries == 1


def test_every_reason_in_the_table_is_in_lower_case_and_one_that_is_not_there_is_named(endpoint: Endpoint) -> None:
    assert [reason for reason in FINISHES if reason != reason.lower()] == []
    endpoint.usual = answers("half", finish="moon_phase")
    assert "finish_reason 'moon_phase'" in (ask(engine(endpoint), 1)[1].error or "")


SAID: dict[str, dict[str, Any]] = {
    "message for text": {"message": {"content": "fine"}},
    "null text": {"text": None, "message": {"content": "fine"}},
    "parts": {"message": {"content": [{"type": "text", "text": "fi"}, {"type": "text", "text": "ne"}]}},
    "a thought among the parts": {
        "message": {"content": [{"type": "reasoning", "summary": [{"text": "hm"}]}, {"type": "text", "text": "fine"}]}
    },
    "thoughts beside the content": {"message": {"content": "fine", "reasoning_content": "hm"}},
    "all under the thoughts": {"message": {"content": None, "reasoning_content": "fine"}},
    "OpenRouter's name for them": {"message": {"content": None, "reasoning": "fine"}},
    "a chunk of a stream": {"delta": {"content": "fine"}},
    "no token ids though there is a text": {"text": "fine", "token_ids": []},
    "a tool beside the text": {"message": {"content": "fine", "tool_calls": [{"function": {"name": "f"}}]}},
}


@pytest.mark.parametrize("case", SAID)
def test_the_text_is_found_wherever_a_server_puts_it(endpoint: Endpoint, case: str) -> None:
    endpoint.usual = body(json.dumps({"choices": [{"finish_reason": "stop", **SAID[case]}]}))
    assert ask(engine(endpoint), 1)[1] == Completion(id=1, output="fine")


NO_ANSWERS: dict[str, tuple[dict[str, Any], str]] = {
    "a tool": ({"message": {"content": None, "tool_calls": [{"function": {"name": "f"}}]}}, "call of a tool"),
    "a function": ({"message": {"content": "", "function_call": {"name": "f"}}}, "call of a tool"),
    "a refusal": ({"message": {"content": None, "refusal": "I cannot"}}, "the model refused I cannot"),
    "a refusal in parts": (
        {"message": {"content": [{"type": "refusal", "refusal": "I cannot"}]}},
        "the model refused I cannot",
    ),
    "nothing": ({}, "neither a text nor a message"),
}


@pytest.mark.parametrize("case", NO_ANSWERS)
def test_what_is_no_text_is_not_taken_for_an_empty_program(endpoint: Endpoint, case: str) -> None:
    choice, said = NO_ANSWERS[case]
    endpoint.usual = body(json.dumps({"choices": [{"finish_reason": "stop", **choice}]}))
    found = ask(engine(endpoint), 1)[1]
    assert found.finish == "error"
    assert said in (found.error or "")


def test_thoughts_that_the_token_limit_cut_off_are_no_answer(endpoint: Endpoint) -> None:
    message = {"content": None, "reasoning_content": "remove_lines is what I"}
    endpoint.usual = body(json.dumps({"choices": [{"finish_reason": "length", "message": message}]}))
    assert ask(engine(endpoint), 1)[1] == Completion(id=1, output="", finish="length")


def test_null_text_is_an_empty_answer(endpoint: Endpoint) -> None:
    endpoint.usual = body('{"choices": [{"text": null, "finish_reason": "stop"}]}')
    assert ask(engine(endpoint), 1)[1] == Completion(id=1, output="")


STREAMED = {
    "completions": (
        'data: {"choices": [{"index": 0, "text": "fi", "finish_reason": null}]}\n\n'
        ': ping\n\nevent: chunk\ndata: {"choices": [{"index": 0, "text": "ne", "finish_reason": "stop"}]}\n\n'
        'data: {"choices": [], "usage": {"completion_tokens": 2}}\n\ndata: [DONE]\n\n'
    ),
    "chat": (
        'data: {"choices": [{"delta": {"role": "assistant", "content": "", "reasoning_content": "hm"}}]}\r\n\r\n'
        'data: {"choices": [{"delta": {"content": "fi"}}]}\r\n\r\n'
        'data: {"choices": [{"delta": {"content": "ne"}}, {"index": 1, "delta": {"content": "x"}}]}\r\n\r\n'
        'data: {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": {"completion_tokens": 2}}\r\n\r\n'
    ),
    "one event over two lines": (
        'data: {"choices": [{"text": "fine",\ndata: "finish_reason": "stop"}], "usage": {"completion_tokens": 2}}\n'
    ),
    "whole answers as events": (
        'id: 1\ndata: {"choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}],'
        ' "usage": {"completion_tokens": 2}}\n\n'
    ),
    "a byte order mark": (
        '\ufeff{"choices": [{"text": "fine", "finish_reason": "stop"}], "usage": {"completion_tokens": 2}}'
    ),
}


@pytest.mark.parametrize("case", STREAMED)
def test_an_answer_that_is_streamed_unasked_is_put_together(endpoint: Endpoint, case: str) -> None:
    endpoint.usual = body(STREAMED[case])
    assert ask(engine(endpoint), 1)[1] == Completion(id=1, output="fine", output_tokens=2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('data: {"error": {"message": "out of memory"}}\n\ndata: [DONE]\n\n', "200 with an error: out of memory"),
        ('data: {"choices": [{"text": "", "finish_reason": null}]}\n\n', "neither text nor a finish_reason"),
        ("data: [DONE]\n\n", r"not a completion.*data: \[DONE\]"),
        ("data: half of it", "not a completion.*data: half of it"),
    ],
)
def test_a_stream_that_is_no_answer_is_told_in_its_words(endpoint: Endpoint, text: str, said: str) -> None:
    endpoint.usual = body(text)
    assert re.search(said, ask(engine(endpoint), 1)[1].error or "")


@pytest.mark.parametrize("usage", ["none", [], None, {}, 7])
def test_a_usage_that_is_none_costs_no_answer(endpoint: Endpoint, usage: Any) -> None:
    choice = {"text": "fine", "finish_reason": "stop"}
    endpoint.usual = body(json.dumps({"choices": [choice], "usage": usage}))
    assert ask(engine(endpoint), 1)[1] == Completion(id=1, output="fine")


@pytest.mark.parametrize("count", [-1, None, 2**40, "3", 2.5])
def test_a_count_that_is_none_costs_no_answer(endpoint: Endpoint, count: Any) -> None:
    endpoint.usual = answers("fine", usage=count)
    assert ask(engine(endpoint), 1)[1] == Completion(id=1, output="fine", output_tokens=None)


@pytest.mark.parametrize("bad", [-math.inf, math.inf, math.nan, None, "low", -9999.0])
def test_an_infinite_log_probability_costs_the_confidence_and_not_the_answer(endpoint: Endpoint, bad: Any) -> None:
    endpoint.usual = answers(token_ids=[7, 8], logprobs={"token_logprobs": [-0.5, bad]})
    assert ask(engine(endpoint), 1)[1] == Completion(id=1, token_ids=[7, 8], token_logprobs=None)
