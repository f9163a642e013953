"""The page of Kubernetes: its image, properties and manifest name files that are there, and say the same."""

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from platform_commands import ROOT, SPOT, check_verb, commands, links, options, properties

from prox_spark.generation.scheduling import TASKS_PER_GPU
from prox_spark.session import DELTA
from prox_spark.supported import SPARKS, minor

FOLDER = ROOT / "conf" / "kubernetes"
HOME = "/opt/prox-spark/"


def only(required: tuple[str, ...], **fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": fields, "additionalProperties": False}


TEXT, COUNT = {"type": "string"}, {"type": "integer", "minimum": 1}
POD = {"cores": COUNT, "memory": TEXT, "memoryOverhead": TEXT, "serviceAccount": TEXT}
RETRIES = {"type": "integer", "minimum": 0}
# The fields of the operator's SparkApplication that the manifest uses, with their types and the required ones.
APPLICATION = only(
    ("apiVersion", "kind", "metadata", "spec"),
    apiVersion={"const": "sparkoperator.k8s.io/v1beta2"},
    kind={"const": "SparkApplication"},
    metadata=only(("name",), name=TEXT, namespace=TEXT),
    spec=only(
        ("type", "sparkVersion", "mainApplicationFile", "driver", "executor"),
        type={"enum": ["Java", "Python", "Scala", "R"]},
        pythonVersion={"enum": ["2", "3"]},
        mode={"enum": ["cluster", "client"]},
        sparkVersion=TEXT,
        image=TEXT,
        mainApplicationFile=TEXT,
        arguments={"type": "array", "items": TEXT},
        restartPolicy=only(
            (),
            type={"enum": ["Never", "Always", "OnFailure"]},
            onFailureRetries=RETRIES,
            onFailureRetryInterval=COUNT,
            onSubmissionFailureRetries=RETRIES,
            onSubmissionFailureRetryInterval=COUNT,
        ),
        sparkConf={"type": "object", "additionalProperties": TEXT},
        driver=only((), **POD),
        executor=only((), instances=COUNT, **POD),
    ),
)


def read(name: str) -> dict[str, str]:
    return properties((FOLDER / name).read_text(encoding="utf-8"))


def manifest() -> dict[str, Any]:
    found = yaml.safe_load((FOLDER / "application.yaml").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def account() -> dict[str, dict[str, Any]]:
    found = yaml.safe_load_all((FOLDER / "account.yaml").read_text(encoding="utf-8"))
    return {one["kind"]: one for one in found}


def in_image(path: str) -> Path:
    """The file of this repository that a path in the image is a copy of."""
    inside = path.removeprefix("local://").removeprefix(HOME)
    return ROOT / inside


def test_the_manifest_has_the_operators_fields() -> None:
    jsonschema.validate(manifest(), APPLICATION)
    wrong = manifest()
    wrong["spec"]["executor"]["cores"] = "8"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, APPLICATION)


def test_the_manifest_runs_a_verb_of_the_image_with_the_shipped_properties() -> None:
    spec = manifest()["spec"]
    job = in_image(spec["mainApplicationFile"])
    check_verb([job.stem, *spec["arguments"]])
    assert minor(spec["sparkVersion"]) in SPARKS
    executor = spec["executor"]
    of_pods = {f"spark.executor.{name}": str(executor[name]) for name in ("cores", "memory", "memoryOverhead")}
    assert spec["sparkConf"] | of_pods == read("gpu.conf")
    # The lease of a dead driver expires after ten minutes.
    assert spec["restartPolicy"]["onFailureRetryInterval"] > 600
    assert spec["driver"]["serviceAccount"] == account()["ServiceAccount"]["metadata"]["name"]


def test_only_the_properties_for_models_ask_for_gpus() -> None:
    cpu, gpu = read("cpu.conf"), read("gpu.conf")
    for settings in (cpu, gpu):
        assert settings.items() >= (DELTA | SPOT).items()
        assert int(settings["spark.executor.cores"]) >= TASKS_PER_GPU
    assert not [key for key in cpu if "gpu" in key]
    assert {key for key in cpu if cpu[key] != gpu.get(key)} == {"spark.executor.memoryOverhead"}
    assert gpu["spark.executor.resource.gpu.amount"] == "1"
    assert gpu["spark.dynamicAllocation.enabled"] == "false"
    assert "spark.task.resource.gpu.amount" not in gpu
    assert in_image(gpu["spark.executor.resource.gpu.discoveryScript"]) == ROOT / "conf" / "gpu" / "discover.sh"


def test_the_account_may_manage_pods_in_its_own_namespace() -> None:
    found = account()
    names = {(one["metadata"]["name"], one["metadata"]["namespace"]) for one in found.values()}
    assert names == {("prox-spark", manifest()["metadata"]["namespace"])}
    binding = found["RoleBinding"]
    assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) == ("Role", "prox-spark")
    assert [(one["kind"], one["name"]) for one in binding["subjects"]] == [("ServiceAccount", "prox-spark")]
    (rule,) = found["Role"]["rules"]
    assert {"pods", "services", "configmaps"} <= set(rule["resources"])


def test_the_image_copies_what_the_page_builds() -> None:
    lines = (FOLDER / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = dict(line.split()[1:] for line in lines if line.startswith(("ADD ", "COPY ")))
    assert copied == {
        "build/emr/environment-gpu.tar.gz": HOME,
        "build/emr/conf.tar.gz": f"{HOME}conf/",
        "jobs/": f"{HOME}jobs/",
        "build/emr/delta/": "/opt/spark/jars/",
    }
    allowed = re.findall(r"^!(\S+)", (FOLDER / "Dockerfile.dockerignore").read_text(), flags=re.MULTILINE)
    assert all(any(path.startswith(f"{one}/") for one in allowed) for path in copied)
    assert read("gpu.conf")["spark.pyspark.python"] == f"{HOME}bin/python3"


def test_every_command_of_the_page_is_one() -> None:
    found = commands("kubernetes.md")
    for words in found:
        for file in options(words, "--file") + options(words, "--filename") + options(words, "--properties-file"):
            assert (ROOT / file).is_file(), file
        if words[0] == "bash":
            assert (ROOT / words[1]).is_file()
    submitted = [words for words in found if words[0] == "spark-submit"]
    assert len(submitted) == 2
    for words in submitted:
        (at,) = [i for i, word in enumerate(words) if word.startswith("local://")]
        check_verb([in_image(words[at]).stem, *words[at + 1 :]])
        assert in_image(words[at]).is_file()
        settings = dict(one.split("=", 1) for one in options(words[:at], "--conf"))
        assert settings["spark.kubernetes.container.image"] == manifest()["spec"]["image"]
        assert settings["spark.kubernetes.namespace"] == manifest()["metadata"]["namespace"]
    (built,) = [words for words in found if words[:2] == ["docker", "build"]]
    assert options(built, "--tag") == [manifest()["spec"]["image"]]
    assert all((ROOT / "docs" / target).exists() for target in links("kubernetes.md"))
