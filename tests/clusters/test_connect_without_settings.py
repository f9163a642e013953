"""Every verb through a Spark Connect server that refuses session settings and kept rows, as Databricks serverless does.

Each verb runs, or is refused before it writes anything, with one line. Slow: a server, and verbs that wait for Delta many times.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from annotator import about, sensible
from claims import versions
from cluster_processes import refusing
from endpoint import serving
from every_verb import VERBS, Place, write_pages
from lanes import lanes, steps

from prox_spark.spark_api import spark_version

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

REFUSED = {
    "forget": lambda place: ["d1", *place.at],
    "forget --history": lambda place: ["d1", "--history", *place.at],
    "generate --retry-failed": lambda place: ["--retry-failed", *place.words("first")],
}
"""The verbs that need a setting which serverless refuses."""

RUN = [verb for verb in VERBS if verb not in REFUSED]

Answers = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("serverless")
    write_pages(folder)
    with serving(about, sensible) as server:
        yield Place(str(folder / "store"), folder / "store", folder, server.url)


@pytest.fixture(scope="module")
def url(connect: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with refusing(connect, tmp_path_factory.mktemp("refusing")) as found:
        yield found


def answers(place: Place, url: str, verbs: dict[str, list[str]]) -> Answers:
    """What a client without Java answers to these command lines."""
    wanted = [{"run": [verb.split()[0], *words, "--output", "json"]} for verb, words in verbs.items()]
    here = lanes()[spark_version()]
    found = steps(here, place.folder, *wanted, timeout=1200, SPARK_REMOTE=url, JAVA_HOME="/nowhere")
    return dict(zip(verbs, found, strict=True))


@pytest.fixture(scope="module")
def run(place: Place, url: str) -> Answers:
    return answers(place, url, {verb: VERBS[verb](place) for verb in RUN})


@pytest.mark.parametrize("verb", RUN)
def test_a_verb_that_needs_no_setting_runs(run: Answers, verb: str) -> None:
    # `doctor` fails where a part of the machine that nothing here needs is missing.
    assert run[verb]["code"] == 0 or verb == "doctor", run[verb]["err"]
    assert json.loads(run[verb]["out"])


def test_doctor_says_which_setting_is_refused(run: Answers) -> None:
    checks = {check["name"]: check for check in json.loads(run["doctor"]["out"])["checks"]}
    assert checks["settings"]["status"] == "warning"
    assert "spark.databricks.delta.write.txnAppId, which Spark refuses here" in checks["settings"]["found"]


def test_a_verb_that_needs_one_is_refused_in_one_line_before_it_writes(run: Answers, place: Place, url: str) -> None:
    before = versions(Path(place.store))
    found = answers(place, url, {verb: words(place) for verb, words in REFUSED.items()})
    for verb, answer in found.items():
        assert answer["code"] == 1, (verb, answer)
        assert answer["out"] == ""
        (line,) = [line for line in answer["err"].splitlines() if "Spark refuses here" in line]
        assert "run it on a classic cluster" in line
        assert "Traceback" not in answer["err"]
    assert versions(Path(place.store)) == before
