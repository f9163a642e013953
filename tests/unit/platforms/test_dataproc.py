"""Dataproc's clusters, by the messages of Google's client library; the page's commands and the jobs' arguments."""

import os
import re
import string
import subprocess
from typing import Any

import pytest
import yaml
from google.cloud import dataproc_v1
from google.protobuf import json_format
from platform_commands import ROOT, check_verb, commands, links, options

from prox_spark.generation.scheduling import TASKS_PER_GPU

FOLDER = ROOT / "conf" / "dataproc"
VALUES = {"BUCKET": "bucket", "REGION": "europe-west4"}
CLUSTERS = ("cpu", "gpu")


def cluster(name: str) -> dict[str, Any]:
    text = string.Template((FOLDER / f"{name}.yaml").read_text(encoding="utf-8")).substitute(VALUES)
    found = yaml.safe_load(text)
    assert isinstance(found, dict)
    return found


def properties_of(name: str) -> dict[str, str]:
    """The Spark properties that a cluster sets."""
    found = cluster(name)["config"]["softwareConfig"]["properties"]
    assert all(key.startswith("spark:") for key in found)
    return {key.removeprefix("spark:"): value for key, value in found.items()}


@pytest.mark.parametrize("name", CLUSTERS)
def test_googles_library_knows_every_field_of_a_cluster(name: str) -> None:
    found = cluster(name)
    json_format.ParseDict(found, dataproc_v1.Cluster.pb(dataproc_v1.Cluster()))
    found["config"]["workerConfig"]["noSuchKey"] = 1
    with pytest.raises(json_format.ParseError, match="noSuchKey"):
        json_format.ParseDict(found, dataproc_v1.Cluster.pb(dataproc_v1.Cluster()))


def test_only_the_cluster_for_models_has_gpus() -> None:
    gpu, cpu = properties_of("gpu"), properties_of("cpu")
    workers = cluster("gpu")["config"]["workerConfig"]
    assert int(gpu["spark.executor.instances"]) == workers["numInstances"]
    assert [one["acceleratorCount"] for one in workers["accelerators"]] == [1]
    assert int(gpu["spark.executor.cores"]) >= TASKS_PER_GPU
    assert (gpu["spark.executor.resource.gpu.amount"], gpu["spark.task.resource.gpu.amount"]) == ("1", "0")
    assert gpu["spark.dynamicAllocation.enabled"] == "false"
    assert os.access(ROOT / gpu["spark.executor.resource.gpu.discoveryScript"], os.X_OK)
    assert not [key for key in cpu if "gpu" in key]
    assert "accelerators" not in cluster("cpu")["config"]["workerConfig"]
    assert "-ml-" in cluster("gpu")["config"]["softwareConfig"]["imageVersion"], "has NVIDIA's driver"


@pytest.mark.parametrize("name", CLUSTERS)
def test_a_cluster_has_delta_and_the_environment_that_is_packed(name: str) -> None:
    config = cluster(name)["config"]
    assert config["softwareConfig"]["optionalComponents"] == ["DELTA"]
    assert config["softwareConfig"]["imageVersion"].startswith("3.0-")
    environment = config["gceClusterConfig"]["metadata"]["prox-environment"]
    assert environment == f"gs://bucket/prox-spark/environment-{name}.tar.gz"
    script = (FOLDER / "install.sh").read_text(encoding="utf-8")
    assert "attributes/prox-environment" in script
    assert properties_of(name)["spark.pyspark.python"] in script
    assert config["initializationActions"][-1] == {"executableFile": "gs://bucket/prox-spark/install.sh"}


def test_the_script_is_bash() -> None:
    subprocess.run(["bash", "-n", str(FOLDER / "install.sh")], check=True)
    assert os.access(FOLDER / "install.sh", os.X_OK)


def test_every_command_of_the_page_is_one() -> None:
    found = commands("dataproc.md")
    exported = {word.partition("=")[0] for words in found if words[0] == "export" for word in words[1:]}
    assert exported == VALUES.keys()
    made = set()
    for words in found:
        if words[0] in ("bash", "envsubst"):
            assert (ROOT / words[words.index("<") + 1 if words[0] == "envsubst" else 1]).is_file()
        if words[:4] == ["gcloud", "dataproc", "clusters", "import"]:
            assert ["envsubst", "<", *_filled(words)] in [line for line in found if line[0] == "envsubst"]
            made.add(words[4])
    submitted = [words for words in found if words[:3] == ["gcloud", "dataproc", "jobs"]]
    assert [re.findall(r"jobs/(\w+)\.py", words[5]) for words in submitted] == [["ingest"], ["generate"], ["execute"]]
    for words in submitted:
        at = words.index("--")
        assert options(words[:at], "--cluster")[0] in made
        assert options(words[:at], "--archives") == ["gs://$BUCKET/prox-spark/conf.tar.gz#conf"]
        (verb,) = re.findall(r"jobs/(\w+)\.py", words[5])
        check_verb([verb, *(word.replace("$BUCKET", "bucket") for word in words[at + 1 :])])
    assert all((ROOT / "docs" / target).exists() for target in links("dataproc.md"))


def _filled(words: list[str]) -> list[str]:
    """What ``envsubst`` reads and writes for the file that this command sends."""
    (source,) = options(words, "--source")
    name = source.removeprefix("build/dataproc-")
    return [f"conf/dataproc/{name}", ">", source]
