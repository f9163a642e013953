"""Secrets: hidden in what others say, refused in what is stored, and in no output of the command line."""

import json
import re
import sys
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from prox_spark.cli import main
from prox_spark.config import Config, load_config
from prox_spark.config.engines import EndpointSettings, VllmSettings
from prox_spark.config.models import InputConfig
from prox_spark.corpora.records import unreadable
from prox_spark.credentials import hidden, in_options, in_settings, reason, stripped
from prox_spark.doctor import Check, examine
from prox_spark.errors import ConfigError
from prox_spark.exporting.export import make_request

SECRET = "correcthorse/battery+staple"
TOKEN = "hf_" + "abcdefghijklmnop" * 2

URLS = {
    "password": f"s3a://AKIDEXAMPLE:{SECRET}@bucket/store",
    "empty user": f"https://:{SECRET}@host/store",
    "signed, S3": f"https://bucket.s3.amazonaws.com/a?X-Amz-Date=1&X-Amz-Signature={SECRET}",
    "signed, Azure": f"https://account.blob.core.windows.net/a?sv=1&sig={SECRET}",
    "signed, Google": f"https://storage.googleapis.com/b/a?X-Goog-Signature={SECRET}",
    "session": f"s3://bucket/a?aws_session_token={SECRET}",
    "connection string": f"abfss://c@a/x;AccountKey={SECRET}",
    "token": f"hf://datasets/{TOKEN}/a",
}

BASE = ["store=s", "input.path=p", "input.format=json", "chunk.engine={kind: vllm, model: m}"]

PLACES = {
    "store": "store={}",
    "input": "input.path={}",
    "one of several inputs": "input.path=[a, '{}']",
    "column": "input.columns={{text: '{}'}}",
    "source": "input.source={}",
    "model": "chunk.engine.model={}",
    "revision": "chunk.engine.revision={}",
    "option": "chunk.engine.options={{download_dir: '{}'}}",
    "deep in options": "chunk.engine.options={{hf_overrides: {{a: [{{b: '{}'}}]}}}}",
    "key of options": "chunk.engine.options={{'{}': 1}}",
    "endpoint": "chunk.engine={{kind: openai, model: m, refiner: r, base_url: '{}'}}",
    "labels": "annotate={{endpoint: {{model: m, base_url: 'http://h/v1'}}, output: '{}'}}",
    "parameters": "annotate={{endpoint: {{model: m, base_url: 'http://h/v1'}}, output: o, parameters: {{user: '{}'}}}}",
    "wrong type": "ingest.unit_bytes={}",
    "unknown key": "no_such_key={}",
}


def leaks(text: str) -> bool:
    """Whether any part of a planted secret is in the text, byte by byte."""
    return any(part in text for part in (SECRET, "correcthorse", "battery", TOKEN, TOKEN[3:]))


@pytest.mark.parametrize("url", URLS.values(), ids=URLS)
def test_a_secret_in_what_others_say_is_hidden_and_the_rest_stays(url: str) -> None:
    said = hidden(f"GET {url} failed: no such key")
    assert not leaks(said)
    assert said.startswith("GET ")
    assert said.endswith(" failed: no such key")


@pytest.mark.parametrize("url", URLS.values(), ids=URLS)
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_secret_anywhere_in_a_configuration_is_refused_and_shown_nowhere(
    url: str, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*BASE, place.format(url)]
    with pytest.raises(ConfigError) as refused:
        load_config(None, words)
    assert not leaks("".join(traceback.format_exception(refused.value)))
    for format_ in ("text", "json"):
        assert main(["generate", *words, "--log-format", format_, "--output", "json"]) == 2
        printed = capsys.readouterr()
        assert printed.err
        assert not leaks(printed.out + printed.err)


@pytest.mark.parametrize(
    "name", ["hf_token", "api_key", "aws_secret_access_key", "password", "accessToken", "auth-token", "Authorization"]
)
def test_an_option_is_a_secret_by_its_name(name: str) -> None:
    for options in ({name: SECRET}, {"nested": [{name: SECRET}]}):
        with pytest.raises(ValidationError) as refused:
            VllmSettings(kind="vllm", model="m", options=options)
        assert not leaks(str(refused.value))
    with pytest.raises(ConfigError, match=rf"chunk\.engine\.options\.{name}: is a secret by its name"):
        load_config(None, [*BASE, f"chunk.engine.options.{name}={SECRET}"])


def test_what_only_resembles_a_secret_is_taken() -> None:
    for text in (
        "abfss://corpus@account.dfs.core.windows.net/a",
        "s3://host:9000/a@b/c",
        "/data/token=5/signature=2/part-0.json",
        "hf://datasets/owner/name@main/*.parquet",
        "user@host",
        "spot-main.json?",
        "gair-prox/web-chunk-refining-lm",
    ):
        assert reason(text) is None
        assert hidden(text) == text or "=" in text
        assert load_config(None, [*BASE, f"store={text}"]).store == text
    assert in_options({"max_num_seqs": 5, "tokens": 6, "dtype": "half", "use_token": True}) is None
    # Texts of pages, and Spark's own properties, which are neither stored nor logged.
    assert in_settings({"spark": {"spark.hadoop.fs.s3a.secret.key": SECRET}}) is None
    answers = {"password": "remove_all()", "https://a:b@c/": "keep_chunk()"}
    assert in_settings({"chunk": {"engine": {"kind": "scripted", "answers": answers}}}) is None


def test_python_is_refused_what_the_command_line_is() -> None:
    url = URLS["password"]
    for given in (
        {"store": url},
        {"store": "s", "input": InputConfig(path=url, format="json")},
        {"store": "s", "chunk": {"engine": {"kind": "vllm", "model": url}}},
    ):
        with pytest.raises(ValidationError) as refused:
            Config(**given)  # type: ignore[arg-type]
        assert not leaks("".join(traceback.format_exception(refused.value)))
    with pytest.raises(ConfigError, match="the export's folder contains a user name and password") as refused_folder:
        make_request(url, "jsonl")
    assert not leaks(str(refused_folder.value))


@pytest.mark.parametrize("url", [f"http://h/v1/{TOKEN}", f"me:{SECRET}@h/v1", f"http://{SECRET.replace('/', '')}@h/v1"])
def test_the_address_of_an_endpoint_holds_no_secret(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        EndpointSettings(model="m", base_url=url)
    assert not leaks(str(refused.value))


def test_a_key_in_place_of_its_variables_name_is_refused_and_not_shown() -> None:
    with pytest.raises(ValidationError, match="the name of an environment variable") as refused:
        EndpointSettings(model="m", base_url="http://h/v1", api_key_variable=SECRET)
    assert not leaks(str(refused.value))


def test_yaml_that_cannot_be_read_is_not_repeated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(f"store: s\nspark: {{spark.hadoop.fs.s3a.secret.key: [{SECRET}\n")
    assert main(["generate", "--config", str(file)]) == 2
    assert re.search(r"not valid YAML \(line \d+, column \d+: ", told := capsys.readouterr().err)
    assert main(["generate", *BASE, f"spark.x=[{SECRET}"]) == 2
    assert main(["generate", *BASE, f"password={SECRET}&", f"--sig={SECRET}"]) == 2
    assert not leaks(told + capsys.readouterr().err)


def test_doctor_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules[examine.__module__]
    monkeypatch.setattr(module, "machine", lambda: [Check("java", "ok", "17")])

    def start(_: dict[str, str]) -> Any:
        raise OSError(f"cannot reach {URLS['password']}")

    for overrides in ([f"store={URLS['password']}"], BASE):
        shown = json.dumps([asdict(check) for check in examine(None, overrides, start)])
        assert not leaks(shown)


def test_a_row_of_quarantine_holds_no_secret() -> None:
    assert not leaks(str(unreadable(None, "BrokenFile", f"cannot read {URLS['signed, Azure']}").message))


def test_the_tail_of_an_engines_log_holds_no_secret(tmp_path: Path) -> None:
    from prox_spark.engines.supervised.engine_log import last_words

    log = tmp_path / "engine.log"
    log.write_text(f"downloading\n401: Authorization: Bearer {TOKEN}\n")
    assert last_words(log) == "downloading\n401: Authorization: Bearer ***"


def test_what_an_older_package_stored_is_shown_without_secrets() -> None:
    older = {"store": URLS["password"], "chunk": {"engine": {"options": {"my_token": SECRET, "seed": 1}}}}
    shown = stripped(older)
    assert not leaks(json.dumps(shown))
    assert shown["chunk"]["engine"]["options"] == {"my_token": "***", "seed": 1}


@pytest.mark.parametrize(
    "path",
    [
        "/data/hf_datasets_fineweb_edu",
        "/models/hf_checkpoint_final_v2",
        "./sk-common-crawl-2024-filtered",
        "s3://allenai-c4/multilingual/c4-sk-validation-00000-of-00002.json.gz",
    ],
)
def test_a_path_that_begins_as_tokens_do_is_no_secret(path: str) -> None:
    assert reason(path) is None
