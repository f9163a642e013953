"""No secret in a store: every byte of its tables, files and logs is searched after runs that had secrets all around them.

Keys come from the environment and from Spark's properties, and an endpoint that says the key it was sent in its errors. Slow:
nine verbs, twice.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from annotator import about, sensible
from claims import PAGE
from endpoint import Endpoint, Handler, serving

from prox_spark.cli import main

KEY = "correct-horse-battery-staple-0123"
PROPERTY = "secret-of-the-object-store"
SECRETS = (KEY, PROPERTY)


def repeats_the_key(handler: Handler, payload: dict[str, Any]) -> None:
    """An endpoint that refuses every other page, with the key that it was sent in its words."""
    if "Page 1" in about(payload)[1]:
        said = {"error": {"message": f"refused: {handler.headers['Authorization']}, token={KEY}", "code": "bad"}}
        handler.say(400, json.dumps(said).encode())
        return
    sensible(handler, payload)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with serving(about, repeats_the_key) as server:
        yield server


def shown(file: Path) -> str:
    """What a file holds, Parquet and JSON decoded as well as byte by byte."""
    content = file.read_bytes().decode("latin-1")
    if file.suffix == ".parquet":
        content += str(pq.read_table(file).to_pylist()) + str(pq.read_metadata(file).metadata)
    return content


@pytest.mark.slow
def test_no_byte_of_a_store_and_of_what_is_said_about_it_is_a_secret(
    spark: Any, endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    pages = [{"url": f"http://site-{n}.example/", "text": f"Home\nPage {n}\n{PAGE}\nFooter"} for n in range(4)]
    (tmp_path / "pages.json").write_text("".join(json.dumps(page) + "\n" for page in pages))
    (tmp_path / "broken.json").write_text('{"text": "no end\n')
    store, out = f"store={tmp_path / 'store'}", tmp_path / "out"
    out.mkdir()
    words = [
        *(store, "refinement=first", f"input.path={tmp_path}/*.json", "input.format=json"),
        *("document.engine.kind=rules", "chunk.engine.kind=rules"),
        f"annotate={{endpoint: {{model: large, base_url: '{endpoint.url}', retries: 0}}, output: '{out / 'labels'}'}}",
        f"spark={{spark.hadoop.fs.s3a.secret.key: {PROPERTY}}}",
    ]
    location = ["--store", str(tmp_path / "store")]
    verbs = [
        ["refine", *words],
        ["annotate", *words],
        ["doctor", *words],
        ["history", *location],
        ["sql", *location, "SELECT * FROM annotations"],
        ["sql", *location, "SELECT * FROM quarantine"],
        ["pin", "first", *location, "--copy"],
        ["export", "first", *location, "--to", str(out / "export"), "--format", "jsonl"],
        ["report", *location, "--output-file", str(out / "report.html")],
        ["history", "--store", f"s3a://AKIDEXAMPLE:{PROPERTY}@bucket/store"],
    ]
    for format_ in ("text", "json"):
        codes = [main([*verb, "--output", format_, "--log-format", format_]) for verb in verbs]
        # `export` to a folder that has this export does nothing; `doctor` depends on the machine.
        assert [code for verb, code in zip(verbs, codes, strict=True) if verb[0] != "doctor"] == [0] * 8 + [2]
    said = capfd.readouterr()
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    # Spark's workers have the environment of the session's start, without a key: the endpoint's words alone hold it.
    assert endpoint.keys
    assert any("refused: " in shown(file) for file in files)
    assert sum(file.suffix == ".parquet" for file in files) > 10
    for secret in SECRETS:
        assert secret not in said.out + said.err
        assert [str(file) for file in files if secret in shown(file)] == []
