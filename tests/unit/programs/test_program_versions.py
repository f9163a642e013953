"""What each version of the rules reads, literally: a stored refinement keeps its version, so none of these may change."""

from typing import get_args

import pyarrow as pa
import pytest

from prox_spark.execution.settings import SEMANTICS, Semantics
from prox_spark.programs import parse, parse_batch
from prox_spark.programs.operations import NEWEST

CALL = "remove_lines(1, 1)"
LINES, KEEP, PROSE, UNKNOWN = "remove_lines ok", "keep_chunk ok", "unknown prose", "unknown unknown"

READ = [
    # (program, as version 2 reads it, as version 3 does)
    (f"self.{CALL}", [UNKNOWN], [LINES]),
    (f"> {CALL}", [UNKNOWN], [LINES]),
    (f"final answer: {CALL}", [UNKNOWN], [LINES]),
    (f"Call: {CALL}", [UNKNOWN], [LINES]),
    (f"functions.{CALL}", [UNKNOWN], [LINES]),
    (f"\u2013 {CALL}", [UNKNOWN], [LINES]),
    (f"— {CALL}", [UNKNOWN], [LINES]),
    (f"<answer>{CALL}</answer>", [UNKNOWN], [LINES]),
    (f"<code>{CALL}</code>", [UNKNOWN], [LINES]),
    (f"<tool_call>\n{CALL}\n</tool_call>", [PROSE, LINES, PROSE], [LINES]),
    (f"<|START_RESPONSE|>{CALL}", [UNKNOWN], [LINES]),
    (f"<reasoning>\n{CALL}\n</reasoning>", [PROSE, LINES, PROSE], []),
    (f"<thought>{CALL}</thought>\nkeep_all()", [UNKNOWN, KEEP], [KEEP]),
    (f"<seed:think>hm</seed:think>{CALL}", [UNKNOWN], [LINES]),
    (f"<|START_THINKING|>\n{CALL}", [PROSE, LINES], ["unknown truncated"]),
    (f"hm\n</reasoning>\n{CALL}", [PROSE, LINES], [LINES]),
    (f"keep_all()<|end|>\n{CALL}", [KEEP, PROSE, LINES], [KEEP]),
    (f"keep_all()<\uff5cend\u2581of\u2581sentence\uff5c>\n{CALL}", [KEEP, PROSE, LINES], [KEEP]),
    (f"keep_all()<seed:eos>\n{CALL}", [KEEP, PROSE, LINES], [KEEP]),
    (f"keep_all()<|END_RESPONSE|>\n{CALL}", [KEEP, PROSE, LINES], [KEEP]),
    (f"keep_all()<|END_OF_TURN_TOKEN|>\n{CALL}", [KEEP, PROSE, LINES], [KEEP]),
    ("add_line(0, 0, 'new\\n')", ["add_line malformed"], ["add_line ok"]),
    ("add_line(0, 0, 'a\\nb\\n')", ["add_line malformed"], ["add_line malformed"]),
    ("replace_str(0, 'a', 'b\\n')", ["replace_str malformed"], ["replace_str ok"]),
    ("replace_str(0, 'a\\n', 'b')", ["replace_str ok"], ["replace_str ok"]),
    ("normalize('a', 'b\\n')", ["normalize malformed"], ["normalize malformed"]),
]


@pytest.mark.parametrize(("program", "second", "third"), READ)
def test_versions_2_and_3_read_a_program_as_they_always_have(program: str, second: list[str], third: list[str]) -> None:
    for semantics, expected in ((2, second), (3, third)):
        assert [f"{call.operation} {call.outcome}" for call in parse(program, semantics).calls] == expected
        [calls] = parse_batch(pa.array([program]), semantics=semantics).to_pylist()
        assert [f"{call['operation']} {call['outcome']}" for call in calls] == expected


def test_the_newest_version_is_the_default_and_the_last_one_that_can_be_chosen() -> None:
    assert get_args(Semantics) == tuple(range(1, NEWEST + 1))
    assert SEMANTICS == NEWEST
