"""The command line: what it prints for programs and for people, in this process, as a process and under spark-submit.

Slow where the whole job runs twice, each time in a virtual machine of its own; ``test_gold.py`` does so over every format.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from claims import PAGE
from submitting import environment, submit

from prox_spark.cli import main

COMMAND = Path(sys.executable).parent / "prox-spark"

HOSTILE = "\x1b[2J\x1b[31mRed alert\x1b[0m [bold]loud[/bold] [link=file:///etc/passwd]here[/link] \x07\u202eevil"


@pytest.fixture(scope="module")
def arguments(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Of a refinement whose first document begins with a hostile line, which the refiner drops."""
    folder = tmp_path_factory.mktemp("commands")
    texts = [f"{HOSTILE}\n{PAGE}", PAGE]
    (folder / "pages.json").write_text(
        "".join(json.dumps({"id": str(i), "text": t}) + "\n" for i, t in enumerate(texts))
    )
    found = [
        f"store={folder / 'store'}",
        "refinement=first",
        f"input.path={folder / 'pages.json'}",
        "input.format=json",
    ]
    found += ["chunk.engine.kind=scripted", "chunk.engine.default=remove_lines(start=0, end=0)"]
    return found


@pytest.fixture(scope="module")
def refined(arguments: list[str]) -> str:
    """The store after ``refine``."""
    assert main(["refine", *arguments]) == 0
    return arguments[0].removeprefix("store=")


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """What a verb prints with ``--output json``: one line that is one JSON document, and nothing else."""
    assert main([*words, "--output", "json"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert out.endswith("\n")
    return json.loads(out)


def text(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 0
    return capsys.readouterr().out


def test_json_output_is_one_document_for_every_verb(
    refined: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    again = answer(capsys, "refine", *arguments)
    assert (again["refinement"], again["version"], again["new"]) == ("first", 0, False)
    assert again["counts"]["documents"] == again["counts"]["refined"] == 2
    assert [stage["stage"] for stage in again["generate"]] == ["chunk"]

    (row,) = answer(capsys, "history", "--store", refined)
    assert (row["refinement"], row["version"], row["counts"]["lines_removed"]) == ("first", 0, 2)
    assert row["configuration"]["chunk"]["engine"]["kind"] == "scripted"

    # With a comment before it, as in every file of conf/sql.
    question = "-- What went?\nSELECT doc_id, line_number, text FROM dropped_lines ORDER BY doc_id"
    assert answer(capsys, "sql", "--store", refined, question) == {
        "columns": ["doc_id", "line_number", "text"],
        "rows": [
            {"doc_id": "0", "line_number": 0, "text": HOSTILE},
            {"doc_id": "1", "line_number": 0, "text": PAGE.split("\n")[0]},
        ],
    }


def test_text_output_shows_page_text_without_obeying_it(refined: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    out = text(capsys, "sql", "--store", refined, "SELECT text FROM dropped_lines WHERE doc_id = '0'")
    assert r"\x1b[2J\x1b[31mRed alert\x1b[0m" in out
    assert r"[bold]loud[/bold] [link=file:///etc/passwd]here[/link] \x07\u202eevil" in out
    assert all(c.isprintable() or c in "\n" for c in out)

    out = text(capsys, "sql", "--store", refined, "SELECT 1 AS `\x1b[31mred\x1b[0m [bold]name[/bold]`")
    assert "\x1b" not in out
    assert "[bold]name[/bold]" in out


def test_a_reason_shows_page_text_without_obeying_it(refined: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["sql", "--store", refined, "SELECT `\x1b[31m` FROM refined"]) == 2
    said = capsys.readouterr()
    assert (said.out, "\x1b" in said.err, said.err.count("\n")) == ("", False, 1)


def test_text_history_is_a_table_with_a_row_for_each_version(refined: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    out = text(capsys, "history", "--store", refined)
    (row,) = [line for line in out.splitlines() if "first" in line]
    assert row.replace("│", "").split()[:2] == ["first", "0"]
    assert "lines removed" in out


@pytest.mark.slow
def test_the_command_and_spark_submit_answer_the_same(refined: str, arguments: list[str], tmp_path: Path) -> None:
    words = [f"store={tmp_path / 'store'}", *arguments[1:], "--output", "json"]
    first, again = (
        subprocess.run(
            [*command, *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=400,
            cwd=tmp_path,
            env=environment(),
        )
        for command in (submit("refine"), [str(COMMAND), "refine"])
    )
    assert (first.returncode, again.returncode) == (0, 0), first.stdout + again.stderr
    one, other = json.loads(first.stdout), json.loads(again.stdout)
    assert (one["new"], other["new"]) == (True, False)
    for key in ("store", "refinement", "version", "counts"):
        assert one[key] == other[key]
    assert one["counts"]["lines_removed"] == 2


def test_help_lists_the_verbs_without_importing_spark_or_a_model() -> None:
    ask = "import sys; from prox_spark.cli import main; code = main(['--help']); print(*sys.modules); sys.exit(code)"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True, timeout=120)
    *helped, modules = done.stdout.splitlines()
    verbs = {line.replace("│", " ").split()[0] for line in helped if line.replace("│", " ").split()}
    assert {"ingest", "generate", "execute", "refine", "estimate", "doctor", "history", "sql"} <= verbs
    assert {"compare", "pin", "rollback", "optimize", "forget", "adapt", "annotate"} <= verbs
    assert not {"pyspark", "torch", "vllm", "transformers", "numba", "pandas"} & set(modules.split())


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["refine", "--config", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["refine", "store=s", "chunk.engin.kind=rules"], "unknown key 'chunk.engin' (did you mean 'engine'?)"),
        (["history"], "name the store with --store STORE or --config"),
        (["refin"], "No such command 'refin'"),
        (["sql", "--store", "s"], "Missing argument 'SELECT'"),
        (["sql", "--store", "s", "--output", "yaml", "SELECT 1"], "'yaml' is not one of"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    words: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("prox-spark: ")
    assert said.err.count("\n") == 1
    assert reason in said.err
