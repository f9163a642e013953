"""Every verb that needs no GPU through a real Spark Connect server, its client a process without Java.

Slow: a server and thirty clients start, each of which waits for Delta many times.
"""

import json
import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import submitting
from annotator import annotator
from claims import PAGE, PROSE, versions
from cluster_processes import ENDPOINT_KEY, remote
from endpoint import Endpoint, Handler, serving
from processes import COMMAND

from prox_spark.engines.tiny import build_tiny_model
from prox_spark.tables.store import open_store

pytestmark = pytest.mark.slow

DOCUMENTS = 24

Run = Callable[..., subprocess.CompletedProcess[str]]
Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def run(connect: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One verb as a process of its own."""
    folder = tmp_path_factory.mktemp("client")

    def ended(*words: str) -> subprocess.CompletedProcess[str]:
        command = [str(COMMAND), *words]
        return subprocess.run(
            command, env=remote(connect), cwd=folder, capture_output=True, text=True, check=False, timeout=400
        )

    return ended


@pytest.fixture(scope="module")
def ask(run: Run) -> Ask:
    """What a verb prints as JSON."""

    def answer(*words: str) -> Any:
        done = run(*words, "--output", "json")
        assert done.returncode == 0, (words, done.stderr[-3000:])
        return json.loads(done.stdout)

    return answer


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Rules for both stages over two files of pages."""
    folder = tmp_path_factory.mktemp("connect")
    for file in range(2):
        ids = range(file * DOCUMENTS // 2, (file + 1) * DOCUMENTS // 2)
        rows = [{"id": f"d{n}", "url": f"https://s{n % 3}.example", "text": PAGE if n % 4 else "Spam"} for n in ids]
        rows.append({"id": f"none {file}", "url": "", "text": None})
        (folder / f"{file}.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rules = [f"{stage}.engine.kind=rules" for stage in ("document", "chunk")]
    return [f"store={folder / 'store'}", f"input.path={folder}/*.json", "input.format=json", *rules]


@pytest.fixture(scope="module")
def store(ask: Ask, keys: list[str]) -> str:
    """The store with ``first`` and, by another threshold, ``second``; made one verb after the other."""
    counted = ask("estimate", *keys)
    assert [stage["documents"] for stage in counted["stages"]] == [DOCUMENTS, DOCUMENTS]
    read = ask("ingest", *keys, "ingest.batch_bytes=4000")["ingest"]
    assert read == {"files": 2, "files_skipped": 0, "documents": DOCUMENTS, "quarantined": 2}
    stages = ask("generate", *keys)["generate"]
    assert [(one["stage"], one["documents"]) for one in stages] == [("document", 24), ("chunk", 18)]
    done = ask("execute", *keys, "refinement=first")
    assert (done["new"], done["counts"]["refined"], done["counts"]["dropped_documents"]) == (True, 18, 6)
    pending = ask("estimate", *keys)
    assert [stage["documents"] for stage in pending["stages"]] == [0, 0]
    second = ask("refine", *keys, "refinement=second", "execution.drop_document_below=1.0", "chunk.min_keep_score=0.5")
    assert second["new"]
    return keys[0].removeprefix("store=")


def test_a_finished_run_does_nothing_again(store: str, ask: Ask, keys: list[str]) -> None:
    before = versions(Path(store))
    again = ask("refine", *keys, "refinement=first")
    assert (again["new"], again["version"], again["ingest"]["files_skipped"]) == (False, 0, 2)
    assert versions(Path(store)) == before


def test_a_sweep_counts_and_writes_nothing(store: str, ask: Ask, keys: list[str]) -> None:
    before = versions(Path(store))
    sweep = ask("execute", "--dry-run", *keys, "execution.max_removed_share=[0.01,0.9]", "refinement=third")
    assert [run["documents"]["refined"] for run in sweep["runs"]] == [0, 18]
    assert all(run["documents"]["total"] == DOCUMENTS for run in sweep["runs"])
    assert versions(Path(store)) == before


def test_reading_verbs_answer(store: str, ask: Ask, tmp_path: Path) -> None:
    assert [row["refinement"] for row in ask("history", "--store", store)] == ["first", "second"]
    found = ask("compare", "--store", store, "--from", "first", "--to", "second")
    assert sum(found["documents"].values()) == DOCUMENTS
    assert found["configuration"]["execution.drop_document_below"] == {"from": 0.5, "to": 1.0}
    rows = ask(
        "sql", "--store", store, "SELECT count(*) AS n, (SELECT count(*) FROM `refined@first`) AS m FROM refined"
    )
    assert rows["rows"] == [{"n": found["to"]["counts"]["refined"], "m": 18}]
    page = tmp_path / "page.html"
    told = ask("report", "--store", store, "--from", "first", "--to", "second", "--output-file", str(page))
    assert told["documents"] == DOCUMENTS
    assert PROSE in page.read_text()


LIBRARY = """
import json, sys
from pathlib import Path
from prox_spark.functions import apply_program, register
from prox_spark.session import get_session
from prox_spark.spark_api import is_connect
from prox_spark.versions.sql import query

spark = get_session()
assert is_connect(spark)
for file in sorted(Path(sys.argv[1]).glob("*.sql")):
    text = file.read_text().replace("@A`", "@first`").replace("@B`", "@second`")
    print(file.stem, len(query(spark, sys.argv[2], text).toPandas().columns))
register(spark)
pages = spark.createDataFrame([("Home\\nWords", "remove_lines(0, 0)")], ["text", "program"])
applied = apply_program("text", "program", max_removed_share=1.0, min_words=0)
print(pages.select(applied).first()[0], pages.selectExpr("apply_program(text, program)").first()[0])
"""


def test_the_library_of_questions_and_the_functions_work_in_a_session_of_ones_own(
    store: str, connect: str, tmp_path: Path
) -> None:
    folder = submitting.ROOT / "conf" / "sql"
    command = [sys.executable, "-c", LIBRARY, str(folder), store]
    done = subprocess.run(command, env=remote(connect), cwd=tmp_path, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    *asked, applied = done.stdout.splitlines()
    assert [line.split()[0] for line in asked] == sorted(file.stem for file in folder.glob("*.sql"))
    assert applied == "Words Words"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sql", "SELECT nothing FROM refined"], "`nothing` cannot be resolved"),
        (["sql", "SELECT 1 FROM `refined@frst`"], "did you mean 'first'?"),
        (["forget", "--where", "nothing = 1"], "--where: "),
        (["compare", "--from", "first", "--to", "secnd"], "did you mean 'second'?"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(store: str, run: Run, words: list[str], said: str) -> None:
    done = run(*words, "--store", store)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert said in done.stderr


def test_a_source_that_is_none_is_named(ask: Ask, run: Run, keys: list[str], store: str) -> None:
    wrong = [*keys, f"input.path={store}/nowhere", "input.format=delta"]
    for verb in ("ingest", "estimate"):
        done = run(verb, *wrong, f"store={store} other")
        assert done.returncode == 2, done.stderr
        assert "cannot be read as delta" in done.stderr.splitlines()[-1]


def test_doctor_asks_for_no_java(store: str, ask: Ask, keys: list[str]) -> None:
    found = ask("doctor", *keys)
    rows = {check["name"]: check for check in found["checks"]}
    assert found["ok"], rows
    assert rows["java"]["status"] == "ok"
    assert rows["session"]["status"] == "ok"
    assert rows["store"]["found"] == store
    assert "the master is local[2]" in rows["scheduling"]["found"]


def test_a_large_model_labels_documents(store: str, ask: Ask, tmp_path: Path) -> None:
    with annotator() as server:
        told = {"model": "large", "base_url": server.url, "api_key_variable": "ENDPOINT_TOKEN"}
        settings = {"endpoint": told, "output": str(tmp_path / "labels"), "documents": 6}
        words = [f"store={store}", f"annotate={json.dumps(settings)}"]
        done = ask("annotate", *words)["annotate"]
        asked = len(server.seen)
        assert (done["documents"], done["answers"]) == (6, asked)
        assert server.keys == {f"Bearer {ENDPOINT_KEY}"}
        ask("annotate", *words)
        assert len(server.seen) == asked
    assert list((tmp_path / "labels").glob("*.parquet"))


def test_verbs_that_keep_a_store_do_their_work(spark: Any, store: str, ask: Ask) -> None:
    assert ask("pin", "first", "--store", store)["new"]
    copied = ask("pin", "first", "--copy", "--store", store)
    assert (copied["new"], ask("pin", "first", "--copy", "--store", store)["new"]) == (True, False)
    back = ask("rollback", "first", "--store", store)
    assert (back["refinement"], back["version"], back["from_version"], back["new"]) == ("first", 1, 0, True)
    compacted = ask("optimize", "--store", store)
    assert compacted["busy"] == []
    assert compacted["files"]["documents"]["after"] == 1
    gone = ask("forget", "d1", "nobody", "--store", store, "--where", "url = 'https://s2.example'", "--history")
    assert (gone["documents"], gone["unknown"], gone["history"]) == (9, 1, True)
    rows = ask("history", "--store", store)
    assert {row["refinement"] for row in rows[2:]} == {"first"}
    # Where each result table was one file already there was nothing to compact in them.
    made = ["rollback", *["optimize"] * (compacted["version"] - 1), "forget"]
    assert [row["verb"] for row in rows[2:]] == made
    counts = rows[-1]["counts"]
    assert counts["documents"] == DOCUMENTS - 9 == counts["refined"] + counts["dropped_documents"]
    assert open_store(spark, store).read("documents").where("doc_id = 'd1' OR url = 'https://s2.example'").isEmpty()
    pinned = ask("sql", "--store", store, "SELECT count(*) AS n FROM `documents@first:0`")
    assert pinned["rows"] == [{"n": DOCUMENTS - 9}]


def answers(handler: Handler, payload: dict[str, Any]) -> None:
    """Keeps what is not spam, removes lines of menus; speaks vLLM's extensions."""
    prompt = payload["prompt"]
    choice: dict[str, Any] = {"index": 0, "text": "", "finish_reason": "stop", "logprobs": None}
    if "logprob_token_ids" in payload:
        keep, drop = payload["logprob_token_ids"]
        kept = 0.1 if "Spam" in prompt else 0.9
        top = {f"token_id:{keep}": math.log(kept), f"token_id:{drop}": math.log(1 - kept)}
        choice["logprobs"] = {"tokens": ["x"], "token_logprobs": [-1.0], "top_logprobs": [top]}
    else:
        lines = re.findall(r"\[(\d+)\] ?(?:Home|Menu|Login)", prompt)
        choice["text"] = (
            "\n".join(f"remove_lines(line_start={n}, line_end={n})" for n in map(int, lines)) or "keep_chunk()"
        )
    body = {"choices": [choice], "usage": {"completion_tokens": 9}}
    handler.say(200, json.dumps(body).encode())


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with serving(lambda payload: payload["prompt"], answers) as server:
        yield server


def test_the_openai_engine_writes_programs_of_both_stages(
    spark: Any, ask: Ask, keys: list[str], endpoint: Endpoint, tmp_path: Path
) -> None:
    refiner = build_tiny_model(tmp_path / "tiny", [f"{PAGE}\nSpam keep drop remove_lines\n"])
    engine = {
        "kind": "openai",
        "model": "somewhere",
        "base_url": endpoint.url,
        "refiner": str(refiner),
        "prompt": "text",
        "api_key_variable": "ENDPOINT_TOKEN",
    }
    words = [f"store={tmp_path / 'store'}", *keys[1:3], "refinement=asked"]
    words += [f"{stage}.engine={json.dumps(engine)}" for stage in ("document", "chunk")]
    checked = {check["name"]: check["status"] for check in ask("doctor", *words)["checks"]}
    assert [checked[f"{stage} self-test"] for stage in ("document", "chunk")] == ["ok", "ok"]
    done = ask("refine", *words)
    assert [(one["documents"], one["failed"]) for one in done["generate"]] == [(24, 0), (18, 0)]
    assert all(one["prompt_tokens"] for one in done["generate"])
    assert (done["counts"]["refined"], done["counts"]["lines_removed"]) == (18, 18)
    assert endpoint.keys == {f"Bearer {ENDPOINT_KEY}"}
    asked = len(endpoint.seen)
    assert not ask("refine", *words)["new"]
    assert len(endpoint.seen) == asked
    refined = open_store(spark, str(tmp_path / "store")).read("refined")
    assert {row["text"] for row in refined.select("text").collect()} == {PAGE.partition("\n")[2]}
