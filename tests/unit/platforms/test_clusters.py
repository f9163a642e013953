"""The page of standalone and YARN clusters: every command names files that are there and keys that are known."""

import re

import pytest
from platform_commands import ROOT, SPOT, check_verb, commands, links, options, properties

from prox_spark.generation.scheduling import TASKS_PER_GPU
from prox_spark.session import DELTA
from prox_spark.spark_api import delta_packages
from prox_spark.supported import SPARKS


def test_every_command_of_the_page_is_one() -> None:
    submitted = [words for words in commands("clusters.md") if words[0] == "spark-submit"]
    assert len(submitted) == 4
    for words in submitted:
        (at,) = [i for i, word in enumerate(words) if word.startswith("jobs/")]
        check_verb([words[at].removeprefix("jobs/").removesuffix(".py"), *words[at + 1 :]])
        settings = [one.partition("=")[::2] for one in options(words[:at], "--conf")]
        assert all(value for _, value in settings)
        for file in options(words[:at], "--properties-file") + options(words[:at], "--files"):
            assert (ROOT / file).is_file()
    assert all((ROOT / "docs" / target).exists() for target in links("clusters.md"))


def test_what_the_page_sets_for_delta_is_what_a_local_session_has() -> None:
    words = next(words for words in commands("clusters.md") if "jobs/execute.py" in words)
    settings = dict(one.split("=", 1) for one in options(words, "--conf"))
    assert settings.items() >= DELTA.items()
    (package,) = options(words, "--packages")
    assert f"delta-spark=={package.rsplit(':', 1)[1]}" in (ROOT / "constraints.txt").read_text().splitlines()


def test_the_page_has_deltas_package_for_each_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([\d.]+) \| `(\S+)` \|$", page, flags=re.MULTILINE))
    pins = {"4.1": (ROOT / "constraints.txt").read_text()}
    pins |= {name: (ROOT / "constraints" / f"spark-{name}.txt").read_text() for name in SPARKS if name not in pins}
    for spark, lines in pins.items():
        pinned = dict(re.findall(r"^(pyspark|delta-spark)==(\S+)", lines, flags=re.MULTILINE))
        monkeypatch.setattr("pyspark.__version__", pinned["pyspark"])
        assert rows.pop(spark) == delta_packages(pinned["delta-spark"])[0]
    assert not rows


def test_the_page_lets_executors_on_spot_nodes_hand_their_rows_on() -> None:
    words = next(words for words in commands("clusters.md") if any("decommission" in word for word in words))
    assert dict(one.split("=", 1) for one in options(words, "--conf")) == SPOT


def gpu_properties(name: str) -> dict[str, str]:
    return properties((ROOT / "conf" / "gpu" / name).read_text(encoding="utf-8"))


def test_the_shipped_gpu_properties_leave_room_for_the_tasks_that_share_a_gpu() -> None:
    settings = gpu_properties("spark.conf")
    assert settings["spark.executor.resource.gpu.amount"] == "1"
    assert int(settings["spark.executor.cores"]) >= TASKS_PER_GPU
    assert "spark.task.resource.gpu.amount" not in settings
    assert settings.items() >= DELTA.items()


def test_where_stages_have_no_profile_only_the_share_is_another() -> None:
    share = {"spark.task.resource.gpu.amount": str(1 / TASKS_PER_GPU)}
    assert gpu_properties("spark-3.5.conf") == gpu_properties("spark.conf") | share
