"""The page of Kubernetes: its images, properties and manifest name files that are there, and say the same."""

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
ONE_DRIVER = {"spark.prox_spark.oneDriver": "true"}
"""Without it, a store on S3 is not written to."""


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
    assert spec["sparkConf"] | of_pods == read("gpu.conf") | ONE_DRIVER
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


def stages() -> dict[str, list[str]]:
    """The instructions of each stage of the Dockerfile, each in one line."""
    text = re.sub(r"^#.*\n", "", (FOLDER / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = re.split(r"^FROM \S+ AS (\w+)$", text.replace("\\\n", " "), flags=re.MULTILINE)
    return {name: body.strip().splitlines() for name, body in zip(found[1::2], found[2::2], strict=True)}


def test_the_images_copy_what_the_page_builds() -> None:
    found = stages()
    assert set(found) == {"spark", "cpu", "gpu"}
    assert found["spark"] == ["COPY build/emr/delta/ /opt/spark/jars/"]
    allowed = re.findall(r"^!(\S+)", (FOLDER / "Dockerfile.dockerignore").read_text(), flags=re.MULTILINE)
    for kind in ("cpu", "gpu"):
        words = [line.split() for line in found[kind] if line.startswith(("ADD ", "COPY "))]
        copied = {source: target for _, *options, source, target in words if not options}
        assert copied == {
            f"build/emr/environment-{kind}.tar.gz": HOME,
            "build/emr/conf.tar.gz": f"{HOME}conf/",
            "jobs/": f"{HOME}jobs/",
        }
        assert all(any(path.startswith(f"{one}/") for one in allowed) for path in copied)
        assert found[kind][-1 if kind == "cpu" else -2] == "USER 185"
        assert read(f"{kind}.conf")["spark.pyspark.python"] == f"{HOME}bin/python3"


def test_the_image_for_gpus_has_what_vllm_and_spark_call() -> None:
    found = "\n".join(stages()["gpu"])
    assert "command -v cc nvcc" in found
    assert "COPY --from=spark /opt/ /opt/" in found
    assert all(
        name in found for name in ("tini", "libnss-wrapper", "JAVA_HOME=/opt/java/openjdk", "/opt/entrypoint.sh")
    )


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
        assert settings.items() >= ONE_DRIVER.items()
        kind = Path(options(words, "--properties-file")[0]).stem
        assert settings["spark.kubernetes.container.image"] == f"registry.example/prox-spark:1-{kind}"
        assert settings["spark.kubernetes.namespace"] == manifest()["metadata"]["namespace"]
    built = {
        options(words, "--target")[0]: options(words, "--tag")[0] for words in found if words[:2] == ["docker", "build"]
    }
    assert built == {kind: f"registry.example/prox-spark:1-{kind}" for kind in ("cpu", "gpu")}
    assert manifest()["spec"]["image"] == built["gpu"]
    (packed,) = [words for words in found if words[:2] == ["bash", "conf/emr/pack.sh"]]
    assert set(packed[2:]) == set(built)
    assert all((ROOT / "docs" / target).exists() for target in links("kubernetes.md"))
