"""P(keep) from the log-probabilities of the first token."""

import math
from typing import Any

import pytest
from endpoint import Behaviour, Endpoint
from openai_helpers import DROP, KEEP, answers, ask, decides, engine


@pytest.mark.parametrize(
    ("tokens", "score"),
    [
        ({"token_id:11": -0.5, "token_id:4": -0.5, "token_id:9": -0.1}, 0.5),
        ({"k": -1.0, "d": -3.0}, 1 / (1 + 2.718281828 ** (-2))),
        ({"k": -1.0, "z": -2.0, "y": -3.0}, 1 / (1 + 2.718281828 ** (-2))),
        ({"d": -1.0, "z": -2.0}, 1 / (1 + 2.718281828)),
        ({"k": -9999.0, "d": 0.0}, 0.0),
    ],
)
def test_the_two_words_decide_and_a_missing_one_is_taken_at_its_bound(
    endpoint: Endpoint, tokens: dict[str, float], score: float
) -> None:
    endpoint.usual = decides(tokens)
    found = ask(engine(endpoint), 1, decision=(KEEP, DROP))
    assert found[1].keep_score == pytest.approx(score)
    assert (endpoint.seen[0]["max_tokens"], endpoint.seen[0]["logprob_token_ids"]) == (1, [KEEP, DROP])


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [(decides({"x": -1.0}), "neither 'k' nor 'd'"), (answers(), "no log-probabilities")],
)
def test_no_word_is_no_decision(endpoint: Endpoint, behaviour: Behaviour, said: str) -> None:
    endpoint.usual = behaviour
    found = ask(engine(endpoint), 1, decision=(KEEP, DROP))
    assert found[1].finish == "error"
    assert said in (found[1].error or "")
    assert len(endpoint.seen) == 1


CHAT = [{"token": "k", "logprob": -1.0}, {"token": "d", "logprob": -3.0}]
FORMS: dict[str, dict[str, Any]] = {
    "llama.cpp, chat's form on completions": {"content": [{"token": "k", "logprob": -1.0, "top_logprobs": CHAT}]},
    "the chosen one alone": {"tokens": ["k"], "token_logprobs": [math.log(1 / (1 + math.exp(-2)))]},
    "mappings": {"top_logprobs": [CHAT]},
    "pairs": {"top_logprobs": [[["k", -1.0], ["d", -3.0]]]},
    "pairs the other way": {"top_logprobs": [[[-1.0, "k"], [-3.0, "d"]]]},
    "byte-level names": {"top_logprobs": [{"Ġk": -1.0, "Ġd": -3.0}]},
    "SentencePiece's names": {"top_logprobs": [{"▁k": -1.0, "▁d": -3.0}]},
    "names with a blank": {"top_logprobs": [{" k": -1.0, " d": -3.0}]},
    "its own name before another's": {"top_logprobs": [{"k": -1.0, "▁k": -0.1, "d": -3.0}]},
}


@pytest.mark.parametrize("case", FORMS)
def test_log_probabilities_are_read_in_every_form(endpoint: Endpoint, case: str) -> None:
    endpoint.usual = answers("k", logprobs=FORMS[case])
    assert ask(engine(endpoint), 1, decision=(KEEP, DROP))[1].keep_score == pytest.approx(1 / (1 + math.exp(-2)))


@pytest.mark.parametrize(
    ("tokens", "score"),
    [
        ({"k": -math.inf, "d": -0.1}, 0.0),
        ({"k": -0.1, "d": -math.inf}, 1.0),
        ({"k": -9999, "z": -0.1}, 0.0),
        # What is left beside the returned tokens bounds a missing word, too.
        ({"k": math.log(0.75)}, 0.75),
        ({"d": math.log(0.9), "z": -math.inf}, 0.1),
    ],
)
def test_minus_infinity_is_a_probability_of_zero(endpoint: Endpoint, tokens: dict[str, float], score: float) -> None:
    endpoint.usual = decides(tokens)
    assert ask(engine(endpoint), 1, decision=(KEEP, DROP))[1].keep_score == pytest.approx(score)


@pytest.mark.parametrize("tokens", [{"k": -9999.0, "d": -9999.0}, {"k": -math.inf, "d": -9999.0}])
def test_two_words_without_any_probability_are_no_decision(endpoint: Endpoint, tokens: dict[str, float]) -> None:
    endpoint.usual = decides(tokens)
    assert "a probability of 0" in (ask(engine(endpoint), 1, decision=(KEEP, DROP))[1].error or "")
