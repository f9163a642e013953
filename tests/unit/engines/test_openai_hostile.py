"""What a server or a model may write to break a task: each is one answer's failure."""

import time
from typing import Any

import pytest

from prox_spark.annotation.answers import MalformedError, read_program
from prox_spark.annotation.objects import find_object, is_plain
from prox_spark.engines.endpoint import faults
from prox_spark.engines.endpoint.answers import _number


def nested(depth: int) -> dict[str, Any]:
    body: dict[str, Any] = {"code": "x"}
    for _ in range(depth):
        body = {"error": body}
    return body


@pytest.mark.parametrize(
    "body", [nested(2000), {"x": 10**30}, {"error": {"code": "9" * 5000}}, [1], None, {"error": 5}]
)
def test_an_error_body_of_any_form_is_a_fault(body: Any) -> None:
    assert faults.of_status(400, body, "m").kind == "refused"


def test_a_page_that_openrouter_moderates_is_filtered() -> None:
    body = {"error": {"code": 403, "message": "model requires moderation. Your input was flagged"}}
    assert faults.of_status(403, body, "m").kind == "filtered"
    assert faults.of_status(403, {"error": {"message": "no access"}}, "m").kind == "access"


@pytest.mark.parametrize(
    ("value", "expected"), [(10**400, None), (float("nan"), None), (True, None), (-1, -1.0), (1e-6, 1e-6)]
)
def test_log_probabilities_are_numbers_that_can_be_ones(value: Any, expected: float | None) -> None:
    assert _number(value) == expected


def test_deep_and_long_answers_cost_linear_time_and_no_task() -> None:
    assert not is_plain("[" * 5000)
    assert find_object("[" * 5000 + '</think>{"edu":3}', ("edu",)) == {"edu": 3}
    took = []
    for size in (20_000, 80_000):
        began = time.perf_counter()
        assert find_object("{ " + "\\'\\\"" * size, ("edu",)) is None
        took.append(time.perf_counter() - began)
    assert took[1] < 10 * took[0] + 1


def test_half_of_a_surrogate_pair_is_a_malformed_program() -> None:
    answer = '{"program": "normalize(source_str=\\"a\\", target_str=\\"\\ud83d\\")"}'
    with pytest.raises(MalformedError):
        read_program("links", answer, ["a"], 0)
