"""How the log reads: its lines as text and JSON, what never reaches it, and where the command line sends it."""

import json
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from prox_spark.cli import main
from prox_spark.cli.logs import asked
from prox_spark.config import load_config
from prox_spark.logs import (
    JsonLines,
    LogSettings,
    TextLines,
    chosen,
    clean,
    configure,
    follow,
    without_secrets,
    written,
)

KEY = "sk-0123456789abcdefghij"


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """No test leaves logging set up."""
    before = list(logging.getLogger().handlers)
    yield
    configure(None)
    assert logging.getLogger().handlers == before


def record(message: str, *values: Any, **extra: Any) -> logging.LogRecord:
    found = logging.getLogger("prox_spark.tables.commits").makeRecord(
        "prox_spark.tables.commits", logging.INFO, "commits.py", 1, message, values, None, extra=extra
    )
    found.created = 1_777_852_800.25
    return found


def test_a_text_line_says_when_how_grave_who_and_what() -> None:
    line = TextLines().format(record("committed %s version %d", "programs", 3, rows=40))
    assert line == "2026-05-04T00:00:00Z INFO prox_spark.tables.commits: committed programs version 3"


def test_a_json_line_is_one_object_with_the_fields_of_its_message() -> None:
    line = JsonLines().format(record("committed %s", "programs", table="programs", rows=40, rate=None, who=object))
    assert "\n" not in line
    found = json.loads(line)
    assert list(found) == ["time", "level", "logger", "message", "table", "rows", "rate", "who"]
    assert (found["time"], found["level"]) == ("2026-05-04T00:00:00.250Z", "INFO")
    assert (found["message"], found["rows"], found["rate"]) == ("committed programs", 40, None)


def test_what_was_raised_is_logged_with_its_own_lines() -> None:
    try:
        raise ValueError(f"bad\x1b[2J {KEY}")
    except ValueError:
        raised = record("failed")
        raised.exc_info = sys.exc_info()
    first, *rest = TextLines().format(raised).splitlines()
    assert first.endswith("failed")
    assert rest[-1] == r"  ValueError: bad\x1b[2J ***"
    assert json.loads(JsonLines().format(raised))["exception"][-1] == r"ValueError: bad\x1b[2J ***"


@pytest.mark.parametrize("formatter", [TextLines(), JsonLines()])
def test_no_control_character_and_no_key_reaches_a_line(formatter: logging.Formatter) -> None:
    hostile = f"a\x1b[31m\n\u202eb s3a://user:pass@bucket/x?sig=abcdef {KEY} AKIAABCDEFGHIJKLMNOP"
    line = formatter.format(record("read %s", hostile, path=hostile))
    assert all(c.isprintable() for c in line)
    assert not any(secret in line for secret in ("pass", KEY, "AKIAABCD", "abcdef"))
    assert "bucket/x" in line


def test_a_clean_text_stays_as_it_is() -> None:
    for text in (
        "read s3a://bucket/a@b/part-0.json",
        "read abfss://corpus@account.dfs.core.windows.net/a and hf://datasets@main/b and s3://host:9000/a@b",
        "skip-this token is 5",
        "max_tokens=5 and sk-learn-is-fine",
        "北方 é",
        "a lease of host:12:34:ab",
    ):
        assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://h/a?X-Goog-Signature=0f1e&b=1", "https://h/a?X-Goog-Signature=***&b=1"),
        ("X-Amz-Security-Token=IQoJb3", "X-Amz-Security-Token=***"),
        ("access_token=abc password='a b'", "access_token=*** password='*** b'"),
        ("Authorization: Basic dXNlcg==", "Authorization: Basic ***"),
        ("{'authorization': 'Bearer abcdefgh12'}", "{'authorization': 'Bearer ***'}"),
        ("aws_secret_access_key=wJal/rXU", "aws_secret_access_key=***"),
        ("DefaultEndpoints=https;AccountKey=ab/c==;Suffix=x", "DefaultEndpoints=https;AccountKey=***;Suffix=x"),
        ("blob?sv=1&sig=abc%3D", "blob?sv=1&sig=***"),
        ("https://user:pass@host/x", "https://***@host/x"),
    ],
)
def test_a_key_in_a_text_is_hidden_and_its_name_stays(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_a_column_named_key_is_no_secret() -> None:
    found = without_secrets({"text_key": "text", "fs.s3a.secret.key": "x", "api_key": "x", "hf_token": "x", "key": "y"})
    assert found == {"text_key": "text", "fs.s3a.secret.key": "***", "api_key": "***", "hf_token": "***", "key": "y"}


def test_a_json_line_has_null_for_a_number_that_json_lacks() -> None:
    line = JsonLines().format(record("made", rate=float("nan"), counts={1: float("inf"), "b": 2.5}))
    assert "NaN" not in line
    found = json.loads(line)
    assert (found["rate"], found["counts"]) == (None, {"1": None, "b": 2.5})


def test_a_configuration_is_logged_without_spark_and_without_keys() -> None:
    config = load_config(
        None,
        [
            "store=s3a://bucket/store",
            "spark={spark.hadoop.fs.s3a.secret.key: hidden}",
            "chunk.engine={kind: vllm, model: m, options: {max_model_len: 2048}}",
            "annotate={endpoint: {base_url: 'http://here/v1', model: big}, output: o}",
        ],
    )
    # Refused in a configuration of this package, but an older one may have stored them.
    older = config.model_dump(mode="json") | {
        "store": "s3a://me:hidden@bucket/store",
        "options": {"my_token": "hidden"},
    }
    shown = json.dumps(without_secrets(older))
    assert "hidden" not in shown
    assert "fs.s3a" not in shown
    assert '"max_model_len": 2048' in shown
    assert '"my_token": "***"' in shown
    # The name of a variable is no secret.
    assert "OPENAI_API_KEY" in shown


def test_the_library_alone_sets_nothing_up(capsys: pytest.CaptureFixture[str]) -> None:
    handlers = list(logging.getLogger().handlers)
    logging.getLogger("prox_spark.tables").info("unheard")
    follow(None)
    assert logging.getLogger().handlers == handlers
    assert capsys.readouterr().err == ""


def test_a_log_that_is_set_up_twice_says_each_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    with written(LogSettings()), written(LogSettings("json")):
        follow(LogSettings("json"))
        logging.getLogger("prox_spark.tables").info("once")
    logging.getLogger("prox_spark.tables").info("never")
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["message"] == "once"
    assert chosen() is None


def test_a_warning_is_a_line_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    shown = warnings.showwarning
    with written(LogSettings("json")), warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old settings", FutureWarning, stacklevel=1)
    assert warnings.showwarning is shown
    (line,) = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    assert (found["level"], found["logger"]) == ("WARNING", "py.warnings")
    assert found["message"].endswith("FutureWarning: old settings")


def test_another_handler_of_the_root_gets_no_line_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    root, ours, seen = logging.getLogger(), logging.getLogger("prox_spark"), logging.StreamHandler(sys.stderr)
    before = (ours.level, ours.propagate)
    root.addHandler(seen)
    try:
        with written(LogSettings()):
            logging.getLogger("prox_spark.tables").info("once")
    finally:
        root.removeHandler(seen)
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert (ours.level, ours.propagate) == before


def test_of_others_only_warnings_are_logged(capsys: pytest.CaptureFixture[str]) -> None:
    with written(LogSettings()):
        other = logging.getLogger("another_package")
        other.setLevel(logging.DEBUG)
        other.info("chatter")
        other.warning("trouble")
        logging.getLogger("prox_sparkling").info("chatter")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("WARNING another_package: trouble")


def test_a_terminal_is_quiet_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["refine", "--config", "c.yaml"]
    assert asked(words) == LogSettings("text", logging.INFO)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert asked(words) == LogSettings("text", logging.WARNING)
    assert asked([*words, "--verbose"]) == LogSettings("text", logging.INFO)


@pytest.mark.parametrize(
    "words",
    [
        ["--log-format", "json", "refine"],
        ["refine", "--log-format", "json"],
        ["refine", "--log-format=json"],
        ["refine", "--nonsense", "--log-format=json"],
    ],
)
def test_a_json_log_has_the_reason_of_a_failure_as_json(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert main(words) == 2
        (line,) = capsys.readouterr().err.splitlines()
        found = json.loads(line)
        assert (found["level"], found["exit_code"]) == ("ERROR", 2)


def test_every_verb_takes_the_options_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "--log-format <text|json>" in capsys.readouterr().out
    for verb in ("refine", "sql", "compare", "export", "forget", "adapt"):
        assert main([verb, "--help"]) == 0
        shown = capsys.readouterr().out
        assert "--log-format <text|json>" in shown
        assert "--verbose" in shown
    assert main(["history", "--log-format", "yaml"]) == 2
    assert "'yaml' is not one of" in capsys.readouterr().err
