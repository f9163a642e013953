"""What each version of the rules makes of a page, literally: a stored refinement keeps its version, so none of these may
change."""

from dataclasses import dataclass
from typing import Any

import pytest
from cases import Case, arrays, expected, found

from prox_spark.execution import ChunkProgram, ExecutionSettings, execute, execute_batch

LINES = ("alpha beta", "gamma zeta", "eta theta", "iota kappa")
PAGE = "\n".join(LINES)
WITHOUT_1 = "alpha beta\neta theta\niota kappa"
WITHOUT_2 = "alpha beta\ngamma zeta\niota kappa"


@dataclass(frozen=True)
class Made:
    """A page after execution, its log without the texts of lines, and the calls that are errors or match nothing."""

    text: str = PAGE
    log: tuple[tuple[int, str | None, str], ...] = ()
    errors: int = 0
    unmatched: int = 0


REMOVED_1 = Made(WITHOUT_1, ((1, None, "remove_lines"),))
ADDED = [
    # (program, by version 2, by version 3): the text is the same, the log is not.
    (
        'remove_lines(0, 0)\nadd_line(0, 0, "new")',
        Made("new\ngamma zeta\neta theta\niota kappa", ((0, "new", "add_line"),)),
        Made(
            "new\ngamma zeta\neta theta\niota kappa",
            ((0, None, "remove_lines"), (1, "new\ngamma zeta", "add_line")),
        ),
    ),
    (
        'remove_lines(1, 2)\nadd_line(1, 0, "a")\nadd_line(2, 0, "b")',
        Made("alpha beta\na\nb\niota kappa", ((1, "a", "add_line"), (2, "b", "add_line"))),
        Made(
            "alpha beta\na\nb\niota kappa",
            ((0, "alpha beta\na\nb", "add_line"), (1, None, "remove_lines"), (2, None, "remove_lines")),
        ),
    ),
    (
        'remove_lines(0, 3)\nadd_line(1, 0, "a")\nadd_line(3, 0, "b")',
        Made(
            "a\nb",
            ((0, None, "remove_lines"), (1, "a", "add_line"), (2, None, "remove_lines"), (3, "b", "add_line")),
        ),
        Made("a\nb", ((0, "a\nb", "add_line"), *((line, None, "remove_lines") for line in (1, 2, 3)))),
    ),
    (
        'add_line(0, 0, "new\\n")',
        Made(errors=1),
        Made(
            "alpha beta\nnew\ngamma zeta\neta theta\niota kappa",
            ((0, "alpha beta\nnew", "add_line"),),
        ),
    ),
]
REPLACED = [
    (
        'replace_str(1, "zeta\\n", "eta ")',
        Made(unmatched=1),
        Made(
            "alpha beta\ngamma eta eta theta\niota kappa",
            ((1, "gamma eta eta theta", "replace_str"), (2, None, "replace_str")),
        ),
    ),
    (
        'replace_str(1, "\\n", "")',
        Made(unmatched=1),
        Made(
            "alpha beta\ngamma zetaeta theta\niota kappa",
            ((1, "gamma zetaeta theta", "replace_str"), (2, None, "replace_str")),
        ),
    ),
    (
        'replace_str(1, " zeta\\n", "\\n")',
        Made(errors=1),
        Made("alpha beta\ngamma\neta theta\niota kappa", ((1, "gamma", "replace_str"),)),
    ),
    (
        'replace_str(1, "zeta", "x\\n")',
        Made(errors=1),
        Made("alpha beta\ngamma x\neta theta\niota kappa", ((1, "gamma x", "replace_str"),)),
    ),
]
WRITTEN = [
    ("self.remove_lines(1, 1)", Made(errors=1), REMOVED_1),
    ("> remove_lines(1, 1)", Made(errors=1), REMOVED_1),
    ("final answer: remove_lines(1, 1)", Made(errors=1), REMOVED_1),
    ("keep_all()<|end|>\nremove_lines(1, 1)", REMOVED_1, Made()),
    (
        "<reasoning>\nremove_lines(1, 1)\n</reasoning>\nremove_lines(2, 2)",
        Made("alpha beta\niota kappa", ((1, None, "remove_lines"), (2, None, "remove_lines"))),
        Made(WITHOUT_2, ((2, None, "remove_lines"),)),
    ),
]


@pytest.mark.parametrize(("program", "second", "third"), [*ADDED, *REPLACED, *WRITTEN])
def test_versions_2_and_3_execute_a_program_as_they_always_have(program: str, second: Made, third: Made) -> None:
    for semantics, made in ((2, second), (3, third)):
        chosen: Any = ExecutionSettings(semantics=semantics, max_removed_share=1.0, min_words=0)
        result = execute(PAGE, program, settings=chosen)
        log = tuple((line.line_number, line.replacement, line.operation) for line in result.dropped_lines)
        assert Made(result.text, log, result.counts.n_errors, result.counts.n_no_match) == made
        removed = sum(replacement is None for _, replacement, _ in log)
        assert (result.counts.n_lines_removed, result.counts.n_lines_rewritten) == (removed, len(log) - removed)
        case = Case(PAGE, [ChunkProgram(program)])
        assert found(execute_batch(*arrays([case]), settings=chosen)) == [expected(case, "strict", chosen)]
