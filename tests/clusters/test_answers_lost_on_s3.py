"""An object store takes every commit of every verb and its answer is lost on the way: each verb ends as if it had come.

A proxy before the server loses the first answer to each ``_delta_log`` entry. Hadoop's client sends the entry again, meets its
own, or, where it may try once only, fails: then the job finds its commit in the table's history. Slow: each verb starts a
commit's worth of requests twice, for each client.
"""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from annotator import about, sensible
from deltas import contents, differences, store_faults
from drivers import OF_TEN_ROWS
from endpoint import serving
from every_verb import VERBS, Place, write_pages
from losing_proxy import losing
from object_stores import BUCKET, objects, run, s3_server, submit_command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ONE_DRIVER = {"spark.prox_spark.oneDriver": "true"}
ONE_ATTEMPT = {
    # How often the SDK tries again.
    "spark.hadoop.fs.s3a.attempts.maximum": "0",
    "spark.hadoop.fs.s3a.retry.limit": "0",
    "spark.hadoop.fs.s3a.retry.throttle.limit": "0",
}
CLIENTS = {"tries again": {}, "tries once": ONE_ATTEMPT}

COMMANDS = {verb: words for verb, words in VERBS.items() if verb != "doctor"}
"""``doctor`` writes nothing, and fails where a part of the machine that nothing here needs is missing."""


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3_server(tmp_path_factory.mktemp("s3")) as url:
        yield url


def life(endpoint: str, store: str, folder: Path, client: dict[str, str]) -> str:
    """Every verb, one after the other, on this store: what they printed."""
    write_pages(folder)
    # The same time for all: `files` has it.
    for path in folder.glob("*.json"):
        os.utime(path, (0, 0))
    submit = submit_command(endpoint, folder, ONE_DRIVER | OF_TEN_ROWS | client)
    with serving(about, sensible) as server:
        place = Place(store, folder, folder, server.url)
        assert run(submit, endpoint, folder, *([verb.split()[0], *words(place)] for verb, words in COMMANDS.items()))
    return (folder / "log").read_text()


def rows(store: Path, folder: Path) -> dict[str, Counter[str]]:
    """``deltas.contents`` of a store that was filled from this folder, without its name."""
    return {
        table: Counter({row.replace(str(folder), ""): n for row, n in found.items()})
        for table, found in contents(store).items()
    }


@pytest.fixture(scope="module")
def calm(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Counter[str]]:
    """What the tables hold where every answer comes."""
    folder = tmp_path_factory.mktemp("calm")
    life(endpoint, str(folder / "store"), folder, {})
    return rows(folder / "store", folder)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_verb_whose_every_answer_is_lost_ends_as_if_it_had_come(
    client: str, calm: dict[str, Counter[str]], endpoint: str, tmp_path: Path
) -> None:
    name, store = client.replace(" ", "-"), tmp_path / "downloaded"
    with losing(endpoint) as proxy:
        log = life(proxy.url, f"s3a://{BUCKET}/{name}", tmp_path, CLIENTS[client])
    for path, content in objects(endpoint, name).items():
        (store / path).parent.mkdir(parents=True, exist_ok=True)
        (store / path).write_bytes(content)
    entries = {f"/{BUCKET}/{name}/{path.relative_to(store)}" for path in store.glob("*/_delta_log/*.json")}
    assert entries == {*proxy.lost}
    assert differences(calm, rows(store, tmp_path)) == []
    assert store_faults(store) == []
    assert "another job" not in log
