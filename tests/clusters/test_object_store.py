"""A store, its exports and a killed export on S3: Hadoop's own client (``s3a``) and pyarrow see a server of moto's on loopback.

An object store renames no folder and lists what it has; what holds on a disk is shown here again, where that is all there is.
Slow, and the first run fetches 640 MB: Hadoop's S3 client and the SDK under it, by Spark's resolver.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import deltalake
import pytest
from claims import PROSE
from object_stores import BUCKET, KEYS, bucket, objects, run, s3_server, said, submit_command

pytestmark = pytest.mark.slow

DOCUMENTS = 300
STORE = f"s3a://{BUCKET}/store"
FORGOTTEN = "Of this sentence, number 7,"

DYING = """
import os, signal
from prox_spark.exporting.folder import Folder

write = Folder.write

def die(folder, name, content):
    if name == "manifest.json":
        os.kill(os.getpid(), signal.SIGKILL)
    write(folder, name, content)

Folder.write = die
"""
"""Before ``COMMANDS``: an export dies when all of its files are in place and its manifest is not."""


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3_server(tmp_path_factory.mktemp("s3")) as url:
        yield url


@pytest.fixture(scope="module")
def submit(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return submit_command(endpoint, tmp_path_factory.mktemp("submitted"), {"spark.prox_spark.oneDriver": "true"})


@pytest.fixture(scope="module")
def settings(endpoint: str) -> list[str]:
    """A configuration of two files of pages in the bucket."""
    for file in range(2):
        rows = [
            {
                "id": f"d{number}",
                "url": f"https://site{number % 3}.example/{number}",
                "text": "buy cheap"
                if number % 10 == 9
                else f"Home\n{PROSE}\n{PROSE} {FORGOTTEN if number == 7 else number}",
            }
            for number in range(file, DOCUMENTS, 2)
        ]
        with bucket(endpoint).open_output_stream(f"{BUCKET}/corpus/{file}.json") as out:
            out.write("".join(json.dumps(row) + "\n" for row in rows).encode())
    return [
        f"store={STORE}",
        f"input.path=s3a://{BUCKET}/corpus/*.json",
        "input.format=json",
        "document.engine.kind=scripted",
        'document.engine.answers={"buy cheap": 0.0}',
        "chunk.engine.kind=scripted",
        "chunk.engine.default=remove_lines(start=0, end=0)",
    ]


@pytest.fixture(scope="module")
def life(
    submit: list[str], endpoint: str, settings: list[str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What the verbs answer, one after the other; the last of them forgets a document."""
    store, to = ["--store", STORE], f"s3a://{BUCKET}/out"
    commands = {
        "refine": ["refine", *settings, "refinement=first"],
        "refine again": ["refine", *settings, "refinement=first"],
        "execute": ["execute", *settings, "refinement=second", "execution.max_removed_share=0.01"],
        "compare": ["compare", *store, "--from", "first", "--to", "second", "--table", f"s3a://{BUCKET}/compared"],
        "parquet": ["export", "first", *store, "--to", f"{to}/parquet", "--format", "parquet"],
        "parquet again": ["export", "first", *store, "--to", f"{to}/parquet", "--format", "parquet"],
        "jsonl": ["export", "first", *store, "--to", f"{to}/jsonl", "--format", "jsonl"],
        "pin": ["pin", "first", "--copy", *store],
        "optimize": ["optimize", *store],
        "rollback": ["rollback", "first:0", *store],
        "forget": ["forget", "d7", "--history", *store],
        "sql": ["sql", *store, "SELECT count(*) AS n, count(DISTINCT doc_id) AS ids FROM refined"],
        "history": ["history", *store],
    }
    answers = run(submit, endpoint, tmp_path_factory.mktemp("life"), *commands.values())
    assert answers is not None
    return dict(zip(commands, answers, strict=True))


def test_a_store_lives_its_whole_life_on_s3(life: dict[str, Any]) -> None:
    assert [(row["refinement"], row["version"], row["verb"]) for row in life["history"]] == [
        ("first", 0, "execute"),
        ("second", 0, "execute"),
        ("second", 1, "optimize"),
        ("first", 1, "rollback"),
        ("first", 2, "forget"),
    ]
    kept = DOCUMENTS * 9 // 10
    assert (life["refine"]["counts"]["refined"], life["execute"]["counts"]["refined"]) == (kept, 0)
    again = ("refine", "refine again", "parquet", "parquet again")
    assert [life[name]["new"] for name in again] == [True, False, True, False]
    assert life["compare"]["documents"]["newly_dropped"] == kept
    assert life["compare"]["table"]["documents"] == DOCUMENTS
    assert life["parquet"]["documents"] == life["jsonl"]["documents"] == kept
    assert life["forget"]["rows"]["documents"] == 1
    assert life["sql"]["rows"] == [{"n": kept - 1, "ids": kept - 1}]


def test_what_was_forgotten_is_in_no_object_of_the_store(life: dict[str, Any], endpoint: str) -> None:
    there = {name: said(content) for name, content in objects(endpoint, "store").items()}
    assert [name for name, text in there.items() if PROSE in text]
    assert [name for name, text in there.items() if FORGOTTEN in text] == []


def test_other_readers_find_the_same_rows_there(life: dict[str, Any], endpoint: str) -> None:
    options = {"AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true", **KEYS}
    table = deltalake.DeltaTable(f"s3://{BUCKET}/store/refined", storage_options=options)
    assert table.to_pyarrow_table().num_rows == life["sql"]["rows"][0]["n"]


def test_an_export_is_whole_and_nothing_lies_beside_it(life: dict[str, Any], endpoint: str) -> None:
    there = objects(endpoint, "out")
    assert set(there) == {
        "parquet/manifest.json",
        "parquet/data/part-00000.parquet",
        "jsonl/manifest.json",
        "jsonl/data/part-00000.jsonl.zst",
    }


def test_an_export_killed_before_its_manifest_is_no_export_and_the_next_run_makes_it_whole(
    life: dict[str, Any], submit: list[str], endpoint: str, tmp_path: Path
) -> None:
    words = ["export", "first", "--store", STORE, "--to", f"s3a://{BUCKET}/killed/out", "--format", "parquet"]
    assert run(submit, endpoint, tmp_path, words, first=DYING) is None
    left = set(objects(endpoint, "killed"))
    assert {"out/.exporting", "out/data/part-00000.parquet"} <= left
    assert "out/manifest.json" not in left

    (done,) = run(submit, endpoint, tmp_path, words) or [None]

    assert done["new"]
    assert set(objects(endpoint, "killed")) == {"out/manifest.json", "out/data/part-00000.parquet"}
