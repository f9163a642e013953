"""The list of operations is the only list: each entry is read, printed, executed, reported and documented."""

import itertools
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pytest

from prox_spark.annotation.prompts import OPERATIONS as TASK_OPERATIONS
from prox_spark.config.models import ExecutionConfig
from prox_spark.execution import ExecutionSettings, execute, execute_batch
from prox_spark.execution.settings import Semantics
from prox_spark.generation.boilerplate import BOILERPLATE_PAGES
from prox_spark.generation.selftest import effective
from prox_spark.programs import Call, Dialect, Program, parse, parse_batch, render
from prox_spark.programs.grammar import DOCUMENT_EBNF, EBNF
from prox_spark.programs.operations import BY_NAME, FLAGS, FORMS, NAMES, OPERATIONS, SPELLINGS, Operation
from prox_spark.reporting.lines import call_text, explain

DOCS = Path(__file__).resolve().parents[3] / "docs" / "programs.md"
WORDS = "a line of more than ten words, so that no guard of the document minds it"
PAGE = "\n".join([WORDS, f"{WORDS} menu", *[WORDS] * 30])
VALUES: dict[str, Any] = {"line_start": 1, "line_end": 1, "index": 2, "source": "menu", "target": "list"}

each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)


def sample(operation: Operation) -> Call:
    fields = {field: VALUES[field] for argument in operation.arguments for field in argument.sets}
    return Call(operation.name, **fields)


def written(call: Call) -> str:
    return render(Program((call,)))


def since(operation: Operation) -> Semantics:
    """The first version of the rules that reads it."""
    return 1 if operation.spellings else 2


def batch_call(text: str, semantics: int) -> dict[str, Any]:
    (found,) = parse_batch(pa.array([text]), semantics=semantics)[0].as_py()
    return dict(found)


def test_codes_never_change_as_tables_hold_hashes_over_them() -> None:
    expected = (
        "remove_lines",
        "remove_all",
        "normalize",
        "remove_str",
        "replace_str",
        "keep_chunk",
        "keep_doc",
        "drop_doc",
        "add_line",
    )
    assert NAMES[: len(expected) + 1] == ("unknown", *expected)
    assert all(NAMES[operation.code] == operation.name for operation in OPERATIONS)


def test_names_are_used_once() -> None:
    assert len(BY_NAME) == len(OPERATIONS)
    assert len(SPELLINGS) == sum(len(operation.spellings) for operation in OPERATIONS)
    assert len(FORMS) == len(SPELLINGS) + sum(len(operation.also) for operation in OPERATIONS)
    assert all(function in SPELLINGS for function, _ in FLAGS)
    for form in FORMS.values():
        names = [name for argument in form.arguments for name in (*argument.names, *argument.also)]
        assert len(set(names)) == len(names)
    for operation in OPERATIONS:
        optional = [argument.optional for argument in operation.arguments]
        assert optional == sorted(optional)


@pytest.mark.parametrize("dialect", get_args(Dialect))
@each_operation
def test_what_is_printed_is_read_again(operation: Operation, dialect: Dialect) -> None:
    text = render(Program((sample(operation),)), dialect)
    assert parse(text, since(operation)).calls == (sample(operation),)
    read = batch_call(text, since(operation))
    assert (read["operation"], read["outcome"]) == (operation.name, "ok")


@pytest.mark.parametrize("semantics", [1, 2, 3])
@pytest.mark.parametrize("function", FORMS)
def test_every_name_of_an_operation_and_its_arguments_is_read(function: str, semantics: int) -> None:
    form, newer = FORMS[function], semantics > 1
    if function not in SPELLINGS and not newer:
        assert parse(f"{function}(1, 1)").calls[0].outcome == "unknown"
        return
    call = sample(BY_NAME[form.operation])
    choices = [(*argument.names, *(argument.also if newer else ())) for argument in form.arguments]
    values = [VALUES[argument.sets[0]] for argument in form.arguments]
    quoted = [f'"{value}"' if isinstance(value, str) else str(value) for value in values]
    for names in itertools.product(*choices):
        text = f"{function}({', '.join(f'{name}={value}' for name, value in zip(names, quoted, strict=True))})"
        assert parse(text, semantics).calls == (call,)
        read = batch_call(text, semantics)
        assert [read[name] for name in ("operation", "line_start", "line_end", "source", "target", "outcome")] == [
            *(call.operation, call.line_start, call.line_end, call.source, call.target, "ok")
        ]


@each_operation
def test_both_parsers_want_the_same_arguments(operation: Operation) -> None:
    function = operation.function
    values = [f'"{VALUES[a.sets[0]]}"' if a.kind == "string" else str(VALUES[a.sets[0]]) for a in operation.arguments]
    for n in range(len(values) + 2):
        text = f"{function}({', '.join([*values, '7'][:n])})"
        needed = sum(not argument.optional for argument in operation.arguments)
        outcome = "ok" if needed <= n <= len(values) else "malformed"
        found = parse(text, since(operation)).calls[0].outcome, batch_call(text, since(operation))["outcome"]
        assert found == (outcome, outcome), text


@each_operation
def test_both_executors_do_what_the_list_says(operation: Operation) -> None:
    program = written(sample(operation))
    chosen = ExecutionSettings(semantics=since(operation))
    result = execute(PAGE, program, settings=chosen)
    changed = {line.line_number: line.replacement for line in result.dropped_lines}
    if operation.edits == "document":
        assert (result.dropped, result.reason) == (True, "program")
    elif operation.edits == "lines" and not operation.has_lines:
        assert (result.dropped, result.reason) == (True, "removed_share")
    elif operation.edits == "lines":
        assert changed == {1: None}
    elif operation.edits == "strings":
        target = VALUES["target"] if sample(operation).target is not None else ""
        assert changed == {1: f"{WORDS} {target}"}
    elif operation.edits == "inserts":
        assert changed == {1: f"{WORDS} menu\nlist"}
    else:
        assert (operation.edits, result.text) == ("nothing", PAGE)
    assert {line.operation for line in result.dropped_lines} <= {operation.name}
    batch = execute_batch(pa.array([PAGE]), pa.array([[program]]), settings=chosen)
    outcome = batch.outcomes[0].as_py()
    assert (batch.texts[0].as_py(), outcome["dropped"], outcome["reason"]) == (
        result.text,
        result.dropped,
        result.reason,
    )
    assert [(row["line_number"], row["replacement"], row["operation"]) for row in batch.dropped_lines.to_pylist()] == [
        (line.line_number, line.replacement, line.operation) for line in result.dropped_lines
    ]


@each_operation
def test_the_report_names_it_and_finds_the_call_behind_a_line(operation: Operation) -> None:
    call = sample(operation)
    columns = ("operation", "line_start", "line_end", "source", "target", "outcome", "index")
    stored = {name: getattr(call, name) for name in columns}
    label = call_text(stored)
    assert label == render(Program((call,)), "positional")
    line = {"line_number": 1, "operation": operation.name, "score": None, "replacement": call.target}
    program = {"line_start": 0, "line_end": 9, "calls": [stored], "line_scores": None}
    assert explain(line, PAGE.split("\n")[1], [program], 0.5) == (label, "")


@each_operation
def test_the_self_test_wants_calls_that_change_text(operation: Operation) -> None:
    word = BOILERPLATE_PAGES[0].split("\n")[1].split()[0]
    call = replace(sample(operation), source=word if operation.edits == "strings" else None)
    written = render(Program((call,)))
    row = {"doc_id": "self-test 0", "chunk": 0, "line_start": 0, "line_end": 11, "line_offset": 0, "output": written}
    row |= {"line_scores": None}
    chosen = ExecutionConfig(semantics=since(operation))
    assert effective("chunk", [row], chosen) == (operation.edits not in ("document", "nothing"))


@each_operation
def test_the_documentation_has_every_name(operation: Operation) -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert re.search(rf"^\|.*\| `{operation.name}`", text, re.MULTILINE)
    assert all(f"{spelling}(" in text for spelling, form in FORMS.items() if form.operation == operation.name)
    assert all(re.search(rf"\b{name}\b", text) for argument in operation.arguments for name in argument.names)


def test_grammars_and_tasks_have_no_operation_of_their_own() -> None:
    assert {name for task in TASK_OPERATIONS.values() for name in task} <= set(BY_NAME)
    functions = re.findall(r'"(\w+)\(', EBNF + DOCUMENT_EBNF)
    assert functions
    assert set(functions) <= {operation.released for operation in OPERATIONS}
