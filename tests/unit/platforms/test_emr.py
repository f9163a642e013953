"""EMR's requests, by botocore's own models and over HTTP to a server on this machine; scripts, jobs and their arguments."""

import http.server
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from platform_commands import ROOT, SPOT, check_verb, commands, links

from prox_spark.config import load_config
from prox_spark.generation.scheduling import TASKS_PER_GPU
from prox_spark.session import DELTA

FOLDER = ROOT / "conf" / "emr"
SUBMIT = FOLDER / "submit.py"
SCRIPT = runpy.run_path(str(SUBMIT))
BUILD, DEFAULTS = SCRIPT["build"], SCRIPT["_spark_defaults"]
VALUES = {
    "RELEASE_LABEL": "emr-spark-8.1.0",
    "BUCKET": "bucket",
    "SUBNET": "subnet-0",
    "SERVICE_ROLE": "service",
    "INSTANCE_PROFILE": "profile",
    "JOB_ROLE": "arn:aws:iam::123456789012:role/job",
    "CLUSTER_ID": "j-0",
    "APPLICATION_ID": "application",
    "VIRTUAL_CLUSTER_ID": "virtual",
}
# With Delta's log store in DynamoDB.
LOG_STORE = {"LOG_TABLE": "delta-log", "AWS_REGION": "eu-central-1"}
ARGUMENTS = ["execute", "--config", "conf/emr/refine.yaml", "store=s3://bucket/store"]
REQUESTS = {
    "cluster": ("emr", "RunJobFlow", []),
    "step": ("emr", "AddJobFlowSteps", ARGUMENTS),
    "application": ("emr-serverless", "CreateApplication", []),
    "run": ("emr-serverless", "StartJobRun", ARGUMENTS),
    "eks-run": ("emr-containers", "StartJobRun", ARGUMENTS),
    "log-table": ("dynamodb", "CreateTable", []),
}
STARTING = ("cluster", "run", "eks-run")
"""Requests that start Spark."""


def submit(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return subprocess.run(
        [sys.executable, str(SUBMIT), *words], env=kept | environment, capture_output=True, text=True, check=False
    )


def request(what: str, *arguments: str, release: str = VALUES["RELEASE_LABEL"], stored: bool = False) -> dict[str, Any]:
    values = VALUES | {"RELEASE_LABEL": release} | (LOG_STORE if stored or what == "log-table" else {})
    found: dict[str, Any] = BUILD(what, arguments, values)
    return found


def test_a_request_is_printed_as_it_is_built() -> None:
    done = submit("--print", "run", *ARGUMENTS, **VALUES)
    assert (done.returncode, json.loads(done.stdout)) == (0, request("run", *ARGUMENTS))


def complaints(service: str, operation: str, parameters: dict[str, Any]) -> str:
    """What botocore says to the parameters, with the token that it adds itself."""
    model = botocore.session.get_session().get_service_model(service).operation_model(operation)
    tokens = dict.fromkeys(model.idempotent_members, "0")
    found: str = ParamValidator().validate(parameters | tokens, model.input_shape).generate_report()
    return found


def classification(name: str, **how: Any) -> dict[str, str]:
    (found,) = [one for one in request("cluster", **how)["Configurations"] if one["Classification"] == name]
    properties: dict[str, str] = found["Properties"]
    return properties


def spark_properties(what: str, **how: Any) -> dict[str, str]:
    """Every Spark property that a request sets."""
    if what == "cluster":
        return classification("spark-defaults", **how)
    found = request(what, *ARGUMENTS, **how)
    (defaults,) = found["configurationOverrides"]["applicationConfiguration"]
    driver = found["jobDriver"].get("sparkSubmit") or found["jobDriver"]["sparkSubmitJobDriver"]
    return {**defaults["properties"], **conf(driver["sparkSubmitParameters"])}


def conf(text: str) -> dict[str, str]:
    words = text.split()
    assert words[::2] == ["--conf"] * (len(words) // 2)
    return dict(word.split("=", 1) for word in words[1::2])


RELEASES = re.findall(
    r"^\| `(emr-[\w.-]+)` \|", (ROOT / "docs" / "emr.md").read_text(encoding="utf-8"), flags=re.MULTILINE
)


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("what", REQUESTS)
def test_botocore_accepts_the_request(what: str, release: str, stored: bool) -> None:
    service, operation, arguments = REQUESTS[what]
    found = request(what, *arguments, release=release, stored=stored)
    assert complaints(service, operation, found) == ""
    assert "Unknown parameter" in complaints(service, operation, {**found, "NoSuchKey": 1})
    assert "$" not in json.dumps(found)


@pytest.mark.parametrize(
    ("release", "applications", "share"),
    [("emr-spark-8.1.0", ["Spark"], None), ("emr-7.13.0", ["Spark", "Hadoop"], str(1 / TASKS_PER_GPU))],
)
def test_a_cluster_has_the_applications_and_the_gpu_share_of_its_release(
    release: str, applications: list[str], share: str | None
) -> None:
    assert [one["Name"] for one in request("cluster", release=release)["Applications"]] == applications
    settings = classification("spark-defaults", release=release)
    assert settings.pop("spark.task.resource.gpu.amount", None) == share
    others = {key: value for key, value in classification("spark-defaults").items() if "task.resource" not in key}
    assert settings == others


def test_eks_names_the_newest_build_of_the_release() -> None:
    assert request("eks-run", *ARGUMENTS)["releaseLabel"] == "emr-spark-8.1.0-latest"


@pytest.mark.parametrize("what", STARTING)
def test_every_job_gets_the_same_log_store_or_none(what: str) -> None:
    without, with_it = spark_properties(what), spark_properties(what, stored=True)
    added = {key: value for key, value in with_it.items() if key not in without}
    assert added == {
        "spark.delta.logStore.s3.impl": "io.delta.storage.S3DynamoDBLogStore",
        "spark.delta.logStore.s3a.impl": "io.delta.storage.S3DynamoDBLogStore",
        "spark.io.delta.storage.S3DynamoDBLogStore.ddb.tableName": request("log-table")["TableName"],
        "spark.io.delta.storage.S3DynamoDBLogStore.ddb.region": LOG_STORE["AWS_REGION"],
    }
    jars = with_it.pop("spark.jars").split(",")
    *others, last = jars
    assert others == without.pop("spark.jars").split(",")
    assert last.endswith("/usr/share/aws/delta/lib/delta-storage-s3-dynamodb.jar")
    # Pods read files of their image by this scheme; elsewhere they are files of the node.
    assert {jar.startswith("local://") for jar in jars} == {what == "eks-run"}
    assert with_it.items() >= without.items()


@pytest.mark.parametrize("what", STARTING)
def test_a_job_says_that_it_alone_writes_where_the_user_says_so(what: str) -> None:
    arguments = () if what == "cluster" else ("execute",)
    one, any_number = (BUILD(what, arguments, VALUES | more) for more in ({"ONE_DRIVER": "true"}, {}))
    assert DEFAULTS(one) == DEFAULTS(any_number) | {"spark.prox_spark.oneDriver": "true"}


def test_executors_on_spot_pods_hand_their_rows_on() -> None:
    assert spark_properties("eks-run").items() >= SPOT.items()


class _Endpoint(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.headers.get("X-Amz-Target") or self.path, body))  # type: ignore[attr-defined]
        made = {"JobFlowId": "j-1", "StepIds": ["s-1"], "applicationId": "a-1", "jobRunId": "r-1", "id": "e-1"}
        made["TableDescription"] = {"TableArn": "t-1"}  # type: ignore[assignment]
        answer = json.dumps({**made, "arn": "arn", "name": "name"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[Any]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Endpoint) as server:
        server.seen = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize(
    ("what", "where", "made"),
    [
        ("cluster", "ElasticMapReduce.RunJobFlow", "j-1"),
        ("step", "ElasticMapReduce.AddJobFlowSteps", "s-1"),
        ("application", "/applications", "a-1"),
        ("run", "/applications/application/jobruns", "r-1"),
        ("eks-run", "/virtualclusters/virtual/jobruns", "e-1"),
        ("log-table", "DynamoDB_20120810.CreateTable", "t-1"),
    ],
)
def test_a_request_is_sent_whole_and_the_id_of_what_it_made_is_printed(
    endpoint: Any, what: str, where: str, made: str
) -> None:
    address = f"http://127.0.0.1:{endpoint.server_port}"
    account = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
    arguments = REQUESTS[what][2]
    values = VALUES | account | (LOG_STORE if what == "log-table" else {})
    done = submit(what, *arguments, **values, AWS_DEFAULT_REGION="eu-central-1", AWS_ENDPOINT_URL=address)
    assert (done.returncode, done.stdout.strip()) == (0, made), done.stderr
    ((path, body),) = endpoint.seen
    assert path == where
    in_the_path = ("applicationId", "virtualClusterId")
    assert all(body[key] == value for key, value in request(what, *arguments).items() if key not in in_the_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "known: cluster"),
        (["clutser"], "known: cluster"),
        (["run", "exceute"], "unknown verb 'exceute'"),
        (["run"], "unknown verb ''"),
        (["cluster", "execute"], "cluster takes no arguments"),
        (["run", "execute"], "needs the environment variable BUCKET"),
        (["log-table"], "log-table.json needs the environment variable LOG_TABLE"),
    ],
)
def test_wrong_usage_is_told_in_one_line(words: list[str], said: str) -> None:
    done = submit(*words, **{name: value for name, value in VALUES.items() if name != "BUCKET"})
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_clusters_gpus_are_scheduled_as_the_package_shares_them() -> None:
    settings = classification("spark-defaults")
    groups = {one["InstanceRole"]: one for one in request("cluster")["Instances"]["InstanceGroups"]}
    # Task profiles use executors that are there only without dynamic allocation, which EMR has on.
    assert settings["spark.dynamicAllocation.enabled"] == "false"
    assert int(settings["spark.executor.instances"]) == groups["CORE"]["InstanceCount"]
    assert int(settings["spark.executor.cores"]) >= TASKS_PER_GPU
    assert settings["spark.executor.resource.gpu.amount"] == "1"
    assert "spark.task.resource.gpu.amount" not in settings
    script = ROOT / settings["spark.executor.resource.gpu.discoveryScript"]
    assert os.access(script, os.X_OK)
    assert classification("yarn-site")["yarn.resource-types"] == "yarn.io/gpu"
    mount = classification("yarn-site")["yarn.nodemanager.linux-container-executor.cgroups.mount-path"]
    assert mount in (FOLDER / "bootstrap.sh").read_text(encoding="utf-8")
    assert mount in (FOLDER / "cluster.json").read_text(encoding="utf-8").split('"root": "')[1]


def test_every_service_has_delta_and_the_environment() -> None:
    every = {what: spark_properties(what) for what in STARTING}
    for settings in every.values():
        assert settings.items() >= DELTA.items()
    jars = {settings["spark.jars"].replace("local://", "") for settings in every.values()}
    assert jars == {"/usr/share/aws/delta/lib/delta-spark.jar,/usr/share/aws/delta/lib/delta-storage.jar"}
    for what in ("run", "eks-run"):
        archives = dict(one.rpartition("#")[::2] for one in every[what]["spark.archives"].split(","))
        assert {Path(path).name: name for path, name in archives.items()} == {
            "environment-cpu.tar.gz": "environment",
            "conf.tar.gz": "conf",
        }
    assert every["run"]["spark.executorEnv.PYSPARK_PYTHON"] == "./environment/bin/python3"
    assert every["eks-run"]["spark.pyspark.python"] == "./environment/bin/python3"
    assert classification("spark-defaults")["spark.pyspark.python"] in (FOLDER / "bootstrap.sh").read_text(), (
        "where the bootstrap action unpacks it"
    )


def test_arguments_arrive_as_they_were_given() -> None:
    words = ["sql", "--store", "s3://bucket/store", "SELECT '${HOME}' AS a, count(*) FROM documents"]
    (step,) = request("step", *words)["Steps"]
    assert step["HadoopJarStep"]["Args"][-3:] == words[1:]
    assert request("run", *words)["jobDriver"]["sparkSubmit"]["entryPointArguments"] == words[1:]
    assert request("eks-run", *words)["jobDriver"]["sparkSubmitJobDriver"]["entryPointArguments"] == words[1:]


def test_the_configuration_loads() -> None:
    assert load_config(FOLDER / "refine.yaml").chunk is not None


def test_no_request_holds_a_secret() -> None:
    for file in FOLDER.glob("*.json"):
        assert not re.search(r"(?i)secret|password|token|api.?key", file.read_text(encoding="utf-8")), file.name


@pytest.mark.parametrize("script", sorted(FOLDER.glob("*.sh")), ids=lambda script: script.name)
def test_scripts_are_bash(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert os.access(script, os.X_OK)


@pytest.mark.parametrize(("words", "said"), [([], "say cpu, gpu or both"), (["tpu"], "tpu: only cpu and gpu")])
def test_packing_asks_for_what_it_knows(words: list[str], said: str) -> None:
    done = subprocess.run(["bash", str(FOLDER / "pack.sh"), *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr


@pytest.mark.parametrize(
    ("step", "said"), [("build", "build the wheel"), ("python", "download Python"), ("pip", "install")]
)
def test_packing_names_the_step_that_failed(tmp_path: Path, step: str, said: str) -> None:
    """``uv --quiet`` says nothing of its errors."""
    project = tmp_path / "project"
    shutil.copytree(ROOT / "conf" / "emr", project / "conf" / "emr")
    (project / "jobs").mkdir()
    (project / "jobs" / "sql.py").touch()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "uv").write_text(UV.replace("shift\n", f'[ "$1" != {step} ] || exit 1; shift\n', 1))
    (tmp_path / "bin" / "uv").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "UV_LOG": str(tmp_path / "log")}
    command = ["bash", str(project / "conf/emr/pack.sh"), "cpu"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert said in done.stderr


UV = """#!/usr/bin/env bash
# Stands for uv, which would fetch a Python and packages: makes the same files, empty.
echo "$PWD: $*" >> "$UV_LOG"
while [ $# -gt 0 ]; do
    case $1 in
        --out-dir) touch "$2/prox_spark-1-py3-none-any.whl" ;;
        --install-dir)
            mkdir -p "$2/cpython-3.11.9-linux/bin"
            touch "$2/cpython-3.11.9-linux/bin/python3.11"
            ln -s python3.11 "$2/cpython-3.11.9-linux/bin/python3"
            ln -s cpython-3.11.9-linux "$2/cpython-3.11-linux"
            ;;
    esac
    shift
done
"""


def test_packing_makes_the_files_that_the_requests_name(tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(ROOT / "conf", project / "conf", symlinks=True)
    shutil.copytree(ROOT / "jobs", project / "jobs")
    for name in ("presets", "questions", "suites"):
        shutil.copytree(ROOT / "prox_spark" / name, project / "prox_spark" / name)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "uv").write_text(UV)
    (tmp_path / "bin" / "uv").chmod(0o755)
    log = tmp_path / "log"
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "UV_LOG": str(log)}
    subprocess.run(["bash", str(project / "conf/emr/pack.sh"), "cpu", "gpu"], env=environment, check=True)

    made = project / "build" / "emr"
    named = json.dumps([request(what, *arguments) for what, (_, _, arguments) in REQUESTS.items()])
    for path in re.findall(r"s3://bucket/prox-spark/([\w./-]+\.(?:py|sh|gz))", named):
        assert (made / path).is_file(), path
    for kind in ("cpu", "gpu"):
        with tarfile.open(made / f"environment-{kind}.tar.gz") as archive:
            assert {"./bin/python3", "./bin/python3.11"} <= set(archive.getnames())
            assert {(one.uid, one.gid) for one in archive.getmembers()} == {(0, 0)}
    with tarfile.open(made / "conf.tar.gz") as archive:
        assert archive.getmember("./gpu/discover.sh").mode & 0o111
        assert "./emr/refine.yaml" in archive.getnames()
        for linked in ("local.yaml", "adapt/dsir.yaml", "sql/edits.sql"):
            assert archive.getmember(f"./{linked}").isfile(), "the package's files are not beside it on the cluster"
    installed = [line for line in log.read_text().splitlines() if "pip install" in line]
    assert [line.rpartition("whl")[2] for line in installed] == ["[refiner]", "[gpu]"]
    assert not [line for line in installed if line.startswith(f"{project}:")], "uv's overrides are the project's"


def test_every_command_of_the_page_is_one() -> None:
    found = commands("emr.md")
    submitted = [words[words.index("conf/emr/submit.py") + 1 :] for words in found if "conf/emr/submit.py" in words]
    assert {words[0] for words in submitted} == {"--print", *REQUESTS}
    exported = {word.partition("=")[0] for words in found if words[0] == "export" for word in words[1:]}
    assert exported == {*VALUES, *LOG_STORE, "ONE_DRIVER"}
    for words in submitted:
        what, *arguments = words[1:] if words[0] == "--print" else words
        arguments = [word.replace("$BUCKET", "bucket") for word in arguments]
        if arguments:
            check_verb(arguments)
        request(what, *arguments)
    for words in found:
        if words[0] == "bash":
            assert (ROOT / words[1]).is_file()
        if words[:3] == ["aws", "s3", "sync"]:
            assert words[3] == "build/emr"
            assert words[4].replace("$BUCKET", "bucket") == "s3://bucket/prox-spark"
    assert all((ROOT / "docs" / target).exists() for target in links("emr.md"))
