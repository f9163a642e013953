"""Each thing is listed once: what else names it is made from that list, or this module fails where it is forgotten."""

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest
import typer.main
import yaml
from typer.testing import CliRunner

import prox_spark.cli
from prox_spark import errors, schemas
from prox_spark.cli import exporting
from prox_spark.cli.groups import REFINE, GroupedVerbs
from prox_spark.cli.options import OutputOption, app
from prox_spark.config.models import ExecutionConfig
from prox_spark.corpora.extraction import EXTRACTORS
from prox_spark.corpora.formats import COLUMNS, CONTAINERS, FORMATS, Container
from prox_spark.corpora.read import READERS
from prox_spark.execution import DroppedLine, ExecutionSettings
from prox_spark.execution.settings import Limits
from prox_spark.execution.strict_kernels import REASONS
from prox_spark.exporting import export, formats
from prox_spark.refinement.parts import PARTS, of_all_lines
from prox_spark.refinement.task import RESULTS
from prox_spark.reporting import documents
from prox_spark.rules.catalogue import DOCUMENT_RULES, LINE_RULES
from prox_spark.tables.purpose import ERASING, TRANSACTION

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "prox_spark"
SOURCES = {file.relative_to(PACKAGE).as_posix(): ast.parse(file.read_text()) for file in PACKAGE.rglob("*.py")}
VERBS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def table(text: str, heading: str) -> dict[str, list[str]]:
    """The rows under a table's heading, ``| first | …``: the name in the first cell, and the other cells."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(heading))
    rows = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        name, *others = (cell.strip() for cell in line.strip("|").split(" | "))
        rows[name.strip("` ")] = others
    return rows


def calls(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    """Calls of a function or method of this name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and name in (getattr(node.func, "id", None), getattr(node.func, "attr", None)):
            yield node


def test_every_table_of_a_store_is_documented() -> None:
    assert set(table(page("architecture.md"), "| table |")) == set(schemas.TABLES)


def test_the_layout_of_stores_is_documented() -> None:
    assert f"a layout number (now {schemas.STORE_VERSION})" in page("versions.md")


def test_every_column_of_dropped_lines_is_documented_with_its_meaning() -> None:
    said = table(page("architecture.md"), "| column | meaning |")
    assert said == {column.name: [column.about] for column in schemas.LINE_COLUMNS}


def test_every_column_of_dropped_lines_comes_from_somewhere() -> None:
    assert {one.name for one in fields(DroppedLine)} == set(schemas.line_columns("execution"))
    assert set(of_all_lines(None)) == set(schemas.line_columns("refinement"))
    assert set(schemas.line_columns("document")) <= set(RESULTS.names)
    held = {*PARTS["dropped_lines"].names, *of_all_lines(None)}
    assert held == set(schemas.DROPPED_LINES.names)


def test_every_type_of_dropped_lines_is_the_tables() -> None:
    for part in (RESULTS, PARTS["dropped_lines"], prox_spark.execution.DROPPED_LINES):
        for name in set(part.names) & set(schemas.DROPPED_LINES.names):
            assert part.field(name) == schemas.DROPPED_LINES.field(name)


def test_every_format_can_be_read_and_is_documented() -> None:
    assert set(CONTAINERS) == set(get_args(Container))
    assert set(READERS) == {one.container for one in FORMATS.values() if not one.read_by_spark}
    assert set(table(page("configuration.md"), "| format |")) == set(FORMATS)
    for one in FORMATS.values():
        assert one.about
        # Spark's tables take the first name of each of our columns.
        assert not one.read_by_spark or all(getattr(one, ours) for ours in COLUMNS)


def test_every_extractor_is_documented() -> None:
    assert set(table(page("configuration.md"), "| extractor |")) == set(EXTRACTORS)
    assert all(f"`{name}`" in page("corpora.md") for name in EXTRACTORS)


# The other formats are named as what they contain, a word with other meanings.
@pytest.mark.parametrize(
    "name", [name for name, one in FORMATS.items() if name not in (one.container, "delta", "table")]
)
def test_a_format_is_named_by_the_declaration_alone(name: str) -> None:
    for file, tree in SOURCES.items():
        strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        # "c4" is a set of rules, too; the demo writes corpora of some formats.
        assert file == "corpora/formats.py" or file.startswith(("demo/", "rules/")) or name not in strings, file


def test_every_format_of_an_export_has_a_file_name_and_is_documented() -> None:
    assert set(export._NAMES) == set(get_args(formats.Format))
    assert get_args(exporting.export.__annotations__["format"])[0] is formats.Format
    assert all(f"`{name}`" in page("export.md") for name in get_args(formats.Format))


def test_every_verb_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert prox_spark.cli.main(["--help"]) == 0
    shown = {line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")}
    assert set(VERBS) <= shown


def test_a_verb_without_a_heading_is_in_the_help() -> None:
    verbs = typer.Typer(cls=GroupedVerbs, rich_markup_mode=None)
    verbs.command("refine", rich_help_panel=REFINE)(lambda: None)
    verbs.command("odd")(lambda: None)
    shown = CliRunner().invoke(verbs, ["--help"]).output
    assert "Other:" in shown
    assert "odd" in shown.split("Other:")[1]


def test_every_threshold_is_documented_with_its_default() -> None:
    defaults = ExecutionSettings().model_dump()
    where_from = table(page("programs.md"), "| setting | default |")
    assert {name: yaml.safe_load(cells[0]) for name, cells in where_from.items()} == defaults
    rules = page("programs.md").partition("## Strict mode")[2].partition("| setting |")[0]
    assert [name for name in defaults if f"`{name}`" not in rules and name not in rules] == []


def test_every_threshold_is_read_by_both_executors() -> None:
    assert set(Limits._fields) == set(ExecutionSettings.model_fields)
    for file in ("strict.py", "strict_kernels.py"):
        text = (PACKAGE / "execution" / file).read_text(encoding="utf-8")
        assert [name for name in ExecutionSettings.model_fields if not re.search(rf"\b{name}\b", text)] == []


def test_every_key_of_execution_is_documented() -> None:
    keys = table(page("configuration.md"), "| key | default |")
    for name, field in ExecutionConfig.model_fields.items():
        assert f"execution.{name}" in keys
        assert field.description
    assert ExecutionConfig().settings() == ExecutionSettings()
    assert ExecutionConfig(min_words=3).settings() == ExecutionSettings(min_words=3)


def test_every_reason_has_words_in_the_report() -> None:
    assert set(REASONS) - {None} <= set(documents.REASONS)


def test_every_rule_is_documented() -> None:
    assert [name for name in (*DOCUMENT_RULES, *LINE_RULES) if f"`{name}`" not in page("rules.md")] == []


def test_every_verb_that_works_on_a_store_has_a_job() -> None:
    need = {
        name for name, verb in VERBS.items() if {"store", "overrides", "config"} & {one.name for one in verb.params}
    }
    assert {file.stem for file in (ROOT / "jobs").glob("*.py")} == need
    for name in need:
        assert f'"{name}"' in (ROOT / "jobs" / f"{name}.py").read_text(encoding="utf-8")


def test_every_verb_is_documented() -> None:
    pages = "".join(file.read_text(encoding="utf-8") for file in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    # Where a table has the same name, only a command is about the verb.
    patterns = {name: rf"prox-spark {name}\b" + ("" if name in schemas.TABLES else rf"|`{name}\b") for name in VERBS}
    assert [name for name, pattern in patterns.items() if not re.search(pattern, pages)] == []


def test_every_function_that_has_the_options_of_a_verb_is_one() -> None:
    callbacks = {verb.callback.__name__ for verb in VERBS.values()}
    for module in pkgutil.iter_modules(prox_spark.cli.__path__, "prox_spark.cli."):
        for name, function in inspect.getmembers(importlib.import_module(module.name), inspect.isfunction):
            output = inspect.signature(function).parameters.get("output")
            assert output is None or output.annotation is not OutputOption or function.__name__ in callbacks, name


def test_every_error_is_raised_and_says_when() -> None:
    family = {
        name: one
        for name, one in inspect.getmembers(errors, inspect.isclass)
        if issubclass(one, errors.ProxSparkError) and one.__module__ == errors.__name__
    }
    for name, error in family.items():
        assert error.__doc__, name
        assert any(any(calls(tree, name)) for tree in SOURCES.values()), f"{name} is raised nowhere"


def test_messages_about_unknown_names_are_made_in_one_place() -> None:
    users = {file for file, tree in SOURCES.items() if any(calls(tree, "get_close_matches"))}
    assert users == {"suggest.py"}


def test_files_and_folders_are_put_into_place_by_one_module() -> None:
    # An export moves its folder on remote file systems, too.
    allowed = {"atomic.py", "exporting/folder.py", "exporting/staging.py"}
    assert {file for file, tree in SOURCES.items() if any(calls(tree, "rename"))} <= allowed
    assert {file for file, tree in SOURCES.items() if any(calls(tree, "mkdtemp"))} <= allowed
    # One argument: a path's new name, where a string's method has two.
    replaced = {
        file
        for file, tree in SOURCES.items()
        for call in calls(tree, "replace")
        if len(call.args) == 1 and not call.keywords
    }
    assert replaced <= allowed


def test_settings_have_one_base() -> None:
    # Others' answers are read leniently, each by a plain pydantic model.
    assert {file for file, tree in SOURCES.items() if any(calls(tree, "ConfigDict"))} == {"section.py"}


def test_every_setting_of_a_session_is_documented() -> None:
    assert set(table(page("platforms.md"), "| setting | what needs it |")) == {*TRANSACTION, *ERASING}
    # Others set properties of a new session only.
    users = {
        file
        for file, tree in SOURCES.items()
        if any(calls(tree, "set")) and "conf.set(" in (PACKAGE / file).read_text()
    }
    assert users == {"session.py", "tables/purpose.py"}


def test_what_replaces_or_erases_rows_asks_first_whether_it_may() -> None:
    names = ("delete", "merge", "vacuum")
    replacing = {file for file, tree in SOURCES.items() if any(any(calls(tree, name)) for name in names)}
    asking = {file for file, tree in SOURCES.items() if any(calls(tree, "check_transactions"))}
    # What an unfinished run left is not known beforehand; the others are no tables.
    rest = {"tables/refinements.py", "annotation/labels.py", "exporting/staging.py"}
    assert replacing - rest == asking - {"doctor/examine.py"}
