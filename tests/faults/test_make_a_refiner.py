"""From a corpus to a refiner of one's own: annotate, adapt, refine, each killed once and started again.

The example of docs/annotate.md, with a scripted large model behind a loopback endpoint. Slow: five processes, three of them with
a JVM, and a model that is trained.
"""

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from annotator import about, page, program, scores
from claims import check_conservation, check_once, verbs
from endpoint import Endpoint, Handler, serving
from processes import COMMAND, started

from prox_spark.cli import main
from prox_spark.config import load_config
from prox_spark.demo.corpus import FILES, write_corpus
from prox_spark.versions.sql import query

pytestmark = [pytest.mark.slow, pytest.mark.engine]

DEADLINE_SECONDS = 300
FOOTER = re.compile("cookie|rights|privacy|©|powered by", re.IGNORECASE)


def by_length(handler: Handler, payload: dict[str, Any]) -> None:
    """Short lines are navigation, what speaks of rights and cookies is footer; pages with long lines are worth keeping."""
    task, shown = about(payload)[0], page(payload)
    if task == "scores":
        scores(3 if any(len(line.split()) > 15 for line in shown.split("\n")) else 1, 5)(handler, payload)
        return
    lines = [(int(n), line) for n, line in re.findall(r"^\[(\d+)\] ?(.*)$", shown, re.MULTILINE)]
    gone = {
        "navigation": [n for n, line in lines if 0 < len(line.split()) <= 3],
        "footer": [n for n, line in lines if len(line.split()) > 3 and FOOTER.search(line)],
        "links": [],
    }[task]
    program("\n".join(f"remove_lines(line_start={n}, line_end={n})" for n in gone) or "keep_chunk()")(handler, payload)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with serving(about, by_length) as server:
        yield server


def kill_when(arguments: list[str], condition: Callable[[], bool], log: Path) -> None:
    """Start ``prox-spark`` and kill it as soon as ``condition`` holds."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    with started([str(COMMAND), *arguments], log) as process:
        while not condition():
            assert process.is_running(), log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.01)


def test_a_refiner_is_made_and_used_though_every_step_is_killed_once(
    spark: Any, endpoint: Endpoint, tmp_path: Path
) -> None:
    write_corpus(tmp_path / "corpus")
    store, labels, model = tmp_path / "store", tmp_path / "labels", tmp_path / "mine"
    path = tmp_path / "mine.yaml"
    pages = {name: [str(labels / f"pages-{name}.parquet")] for name in ("train", "validation")}
    settings = {
        "store": str(store),
        "refinement": "mine",
        "input": {"path": str(tmp_path / "corpus" / FILES["c4"]), "format": "c4"},
        "ingest": {"unit_bytes": 20_000},
        "generate": {"batch_units": 1, "partitions": 2, "self_test": False},
        "annotate": {
            "endpoint": {"model": "large", "base_url": endpoint.url, "max_in_flight": 4},
            "output": str(labels),
            "documents": 40,
            "batch_documents": 8,
            "validation_share": 0.3,
        },
        "adapt": {
            "name": "mine",
            "output": str(model),
            **pages,
            "shape": {"vocabulary": 512, "hidden": 64, "feed_forward": 64, "layers": 2},
            "epochs": 12,
            "evaluations": 4,
            "batch_tokens": 2048,
        },
        "spark": {"spark.master": "local[2]", "spark.sql.shuffle.partitions": 2, "spark.driver.memory": "1g"},
    }
    path.write_text(yaml.safe_dump(settings))
    assert main(["ingest", "--config", str(path)]) == 0

    annotate = ["annotate", "--config", str(path)]
    kill_when(annotate, lambda: verbs(store, "annotations").count("annotate") >= 1, tmp_path / "annotate.log")
    asked = "SELECT count(*) AS n FROM annotations WHERE status <> 'skipped'"
    answered = query(spark, str(store), asked).collect()[0]["n"]
    assert answered > 0
    endpoint.seen.clear()
    assert main(annotate) == 0
    keys = query(spark, str(store), "SELECT doc_id, task, chunk, prompt_version, model FROM annotations").collect()
    assert max(Counter(map(tuple, keys)).values()) == 1
    assert len(endpoint.seen) == query(spark, str(store), asked).collect()[0]["n"] - answered

    adapt = ["adapt", "--config", str(path)]
    kill_when(adapt, lambda: any(tmp_path.glob(".mine.*/checkpoint.pt")), tmp_path / "adapt.log")
    assert not model.exists()
    assert main(adapt) == 0
    (scored,) = json.loads((model / "training.json").read_text())["scores"].values()
    assert scored["f1"] > scored["f1_keep_everything"]

    settings["chunk"] = {"engine": {"kind": "transformers", "model": str(model)}}
    path.write_text(yaml.safe_dump(settings))
    refine = ["refine", "--config", str(path)]
    kill_when(refine, lambda: verbs(store, "programs").count("generate chunk") >= 1, tmp_path / "refine.log")
    assert main(refine) == 0
    config = load_config(path)
    check_once(spark, config)
    check_conservation(spark, config)
    dropped = query(spark, str(store), "SELECT count(*) AS n FROM dropped_lines").collect()[0]["n"]
    assert dropped > 100
