"""The asset bundle as far as a machine without Databricks can tell: names, references, files, verbs and their keys."""

import fnmatch
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from databricks.bundles.jobs import Job
from platform_commands import ROOT, SPOT, check_verb, commands, links, options

import prox_spark
from prox_spark.generation.scheduling import TASKS_PER_GPU
from prox_spark.supported import SPARKS

BUNDLE = ROOT / "conf" / "databricks"
REFERENCE = re.compile(r"\$\{([^}]*)\}")

# What the platform fills in at deployment.
GIVEN = {
    "workspace.file_path": str(BUNDLE),
    "workspace.host": "https://workspace.example",
    "bundle.name": "prox-spark",
    "bundle.target": "dev",
}
# Variables without a default, as docs/databricks.md asks for them.
CHOSEN = {
    "catalog": "main",
    "input_path": "/Volumes/main/prox/corpus/*.json.gz",
    "runtime": "RUNTIME",
    "gpu_runtime": "GPU_RUNTIME",
    "cpu_node_type": "CPU_NODE",
    "gpu_node_type": "GPU_NODE",
}


def read(path: Path) -> dict[str, Any]:
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(tree, dict)
    return tree


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TREE = read(BUNDLE / "databricks.yml")
VARIABLES = TREE["variables"]
FILES = sorted(file for pattern in TREE["include"] for file in BUNDLE.glob(pattern))
JOBS = {key: job for file in FILES for key, job in read(file)["resources"]["jobs"].items()}
TASKS = [(key, task) for key, job in JOBS.items() for task in job["tasks"]]
ON_CLUSTERS = [(key, task) for key, task in TASKS if "job_cluster_key" in task]
SERVERLESS = [(key, task) for key, task in TASKS if "environment_key" in task]


def each(tasks: list[tuple[str, dict[str, Any]]]) -> Any:
    return pytest.mark.parametrize(("job", "task"), tasks, ids=[f"{key}-{task['task_key']}" for key, task in tasks])


def runtimes() -> dict[str, dict[str, str]]:
    """The runtimes of the page: the variables of the bundle for each, and its Spark."""
    text = (ROOT / "docs" / "databricks.md").read_text(encoding="utf-8")
    head, _, *rows = re.findall(r"^\|.*\|$", text.partition("## Runtimes")[2].partition("## ")[0], flags=re.MULTILINE)
    cells = [[cell.strip(" `") for cell in row.strip("|").split("|")] for row in (head, *rows)]
    return {row[0].split()[0]: dict(zip(cells[0][1:], row[1:], strict=True)) for row in cells[1:]}


RUNTIMES = runtimes()


def resolve(value: Any) -> Any:
    """The value with all its references filled in. Raises ``KeyError`` for one that nothing declares."""
    if isinstance(value, dict):
        return {key: resolve(one) for key, one in value.items()}
    if isinstance(value, list):
        return [resolve(one) for one in value]
    if not isinstance(value, str):
        return value
    if alone := REFERENCE.fullmatch(value):
        return look_up(alone[1])
    return REFERENCE.sub(lambda found: str(look_up(found[1])), value)


def look_up(name: str) -> Any:
    if name.startswith("var."):
        variable = name.removeprefix("var.")
        return resolve(VARIABLES[variable]["default"]) if "default" in VARIABLES[variable] else CHOSEN[variable]
    return GIVEN[name]


def parameters(job: str, task: dict[str, Any]) -> list[str]:
    """A task's words, the job's own parameters with their defaults."""
    defaults = {one["name"]: one["default"] for one in JOBS[job].get("parameters", ())}
    found = resolve(task["spark_python_task"]["parameters"])
    return [re.sub(r"\{\{job\.parameters\.(\w+)\}\}", lambda name: defaults[name[1]], word) for word in found]


def cluster(job: str, task: dict[str, Any]) -> dict[str, Any]:
    (found,) = [one for one in JOBS[job]["job_clusters"] if one["job_cluster_key"] == task["job_cluster_key"]]
    resolved: dict[str, Any] = resolve(found["new_cluster"])
    return resolved


def test_every_reference_is_declared_and_every_variable_is_used() -> None:
    assert FILES
    text = "".join(file.read_text(encoding="utf-8") for file in [BUNDLE / "databricks.yml", *FILES])
    for name in REFERENCE.findall(text):
        assert look_up(name) not in (None, ""), name
    assert {name.removeprefix("var.") for name in REFERENCE.findall(text) if name.startswith("var.")} == set(VARIABLES)
    assert all(variable.get("description") for variable in VARIABLES.values())
    assert {name for name, variable in VARIABLES.items() if "default" not in variable} == set(CHOSEN)


@each(TASKS)
def test_a_task_runs_a_verb_with_arguments_that_it_takes(job: str, task: dict[str, Any]) -> None:
    script = BUNDLE / "resources" / task["spark_python_task"]["python_file"]
    assert script.resolve() == BUNDLE / "run_verb.py"
    config = check_verb(parameters(job, task))
    assert config.store == "main.prox"


@each(ON_CLUSTERS)
def test_a_task_installs_the_wheel_that_the_bundle_builds(job: str, task: dict[str, Any]) -> None:
    wheel = f"{PROJECT['name'].replace('-', '_')}-{prox_spark.__version__}-py3-none-any.whl"
    library, *_ = task["libraries"]
    folder, pattern = (BUNDLE / "resources" / library["whl"]).parent.resolve(), Path(library["whl"]).name
    assert fnmatch.fnmatch(wheel, pattern)
    artifact = TREE["artifacts"]["wheel"]
    assert (artifact["type"], (BUNDLE / artifact["path"]).resolve()) == ("whl", ROOT)
    assert folder == ROOT / "dist", "where `uv build` writes"


@each(ON_CLUSTERS)
def test_a_verb_that_reads_a_refiner_without_running_it_has_what_reads_it(job: str, task: dict[str, Any]) -> None:
    words = parameters(job, task)
    on_gpus = "init_scripts" in cluster(job, task)
    needs = words[0] in ("generate", "refine", "doctor") and not on_gpus
    packages = [one["pypi"]["package"] for one in task["libraries"] if "pypi" in one]
    assert packages == (PROJECT["optional-dependencies"]["refiner"] if needs else [])


@each(ON_CLUSTERS)
def test_a_task_names_clusters_and_tasks_of_its_own_job(job: str, task: dict[str, Any]) -> None:
    found = cluster(job, task)
    assert {"spark_version", "node_type_id", "num_workers", "data_security_mode"} <= found.keys()
    keys = [one["task_key"] for one in JOBS[job]["tasks"]]
    assert len(set(keys)) == len(keys)
    assert all(keys.index(one["task_key"]) < keys.index(task["task_key"]) for one in task.get("depends_on", ()))
    used = {one["job_cluster_key"] for one in JOBS[job]["tasks"]}
    assert used == {one["job_cluster_key"] for one in JOBS[job]["job_clusters"]}


@each(ON_CLUSTERS)
def test_vllm_runs_on_gpus_and_everything_else_without(job: str, task: dict[str, Any]) -> None:
    words = parameters(job, task)
    config = check_verb(words)
    stages = [stage.engine.kind for stage in (config.document, config.chunk) if stage]
    needs_gpu = words[0] in ("generate", "refine", "doctor") and "vllm" in stages
    assert ("init_scripts" in cluster(job, task)) == needs_gpu


@each(SERVERLESS)
def test_a_serverless_task_runs_what_needs_neither_a_model_nor_a_cluster(job: str, task: dict[str, Any]) -> None:
    assert parameters(job, task)[0] in ("execute", "sql")
    assert "libraries" not in task
    (environment,) = resolve(JOBS[job]["environments"])
    assert environment["environment_key"] == task["environment_key"]
    (wheel,) = environment["spec"]["dependencies"]
    assert (BUNDLE / "resources" / wheel).parent.resolve() == ROOT / "dist"


def test_every_task_has_a_cluster_or_a_serverless_environment() -> None:
    assert SERVERLESS
    assert len(ON_CLUSTERS) + len(SERVERLESS) == len(TASKS)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_databricks_own_package_knows_every_field_of_a_job(monkeypatch: pytest.MonkeyPatch, runtime: str) -> None:
    values = RUNTIMES[runtime]
    for name in ("runtime", "gpu_runtime"):
        monkeypatch.setitem(CHOSEN, name, values[name])
    monkeypatch.setitem(VARIABLES["gpu_share"], "default", values["gpu_share"])
    for job in JOBS.values():
        Job.from_dict(resolve(job))
    with pytest.raises(ValueError, match="no_such_key"):
        Job.from_dict({**resolve(JOBS["steps"]), "no_such_key": 1})
    settings = cluster("refine", JOBS["refine"]["tasks"][0])["spark_conf"]
    # Before Spark 4 a stage cannot ask for a share.
    share = str(1 / TASKS_PER_GPU) if values["Spark"].startswith("3.") else "0"
    assert settings["spark.task.resource.gpu.amount"] == share


def test_the_runtimes_are_of_supported_versions_of_spark() -> None:
    assert {values["Spark"] for values in RUNTIMES.values()} == set(SPARKS)
    for name, values in RUNTIMES.items():
        if values["runtime"] != "ask the CLI":
            scala = SPARKS[values["Spark"]].scala
            assert values["runtime"] == f"{name}.x-scala{scala}"
            assert values["gpu_runtime"] == f"{name}.x-gpu-ml-scala{scala}"


@each(ON_CLUSTERS)
def test_executors_on_spot_nodes_hand_their_rows_on(job: str, task: dict[str, Any]) -> None:
    found = cluster(job, task)
    assert found["spark_conf"].items() >= SPOT.items()
    assert found["spark_env_vars"]["SPARK_WORKER_OPTS"] == "-Dspark.decommission.enabled=true"


def test_the_pipeline_goes_from_files_to_a_refinement_and_only_its_model_has_gpus() -> None:
    tasks = JOBS["steps"]["tasks"]
    assert [task["task_key"] for task in tasks] == ["ingest", "generate", "execute"]
    assert [task["task_key"] for task in tasks] == [parameters("steps", task)[0] for task in tasks]
    assert [task["job_cluster_key"] for task in tasks] == ["cpu", "gpu", "cpu"]
    assert [[one["task_key"] for one in task.get("depends_on", ())] for task in tasks] == [[], ["ingest"], ["generate"]]


def test_a_task_of_a_stage_without_a_model_takes_no_gpu() -> None:
    settings = resolve(VARIABLES["gpu_cluster"]["default"])["spark_conf"]
    assert settings["spark.task.resource.gpu.amount"] == "0"
    # Tasks with a profile run on the executors that are there: the number of workers must not move.
    assert "autoscale" not in VARIABLES["gpu_cluster"]["default"]


def test_secrets_are_named_and_never_written() -> None:
    text = "".join(file.read_text(encoding="utf-8") for file in BUNDLE.rglob("*.y*ml"))
    assert re.findall(r"(?i)(?:token|key|password|secret)\w*: *[\"']?(\S+)", text)
    for name, value in resolve(VARIABLES["endpoint_cluster"]["default"])["spark_env_vars"].items():
        if name == "SPARK_WORKER_OPTS":
            continue
        assert re.fullmatch(r"\{\{secrets/[\w-]+/[\w-]+\}\}", value), name
    (task,) = JOBS["endpoint"]["tasks"]
    config = check_verb(parameters("endpoint", task))
    assert config.chunk is not None
    assert config.chunk.engine.kind == "openai"
    assert config.chunk.engine.api_key_variable in cluster("endpoint", task)["spark_env_vars"]


def test_the_init_script_is_bash_and_installs_what_the_extra_names() -> None:
    (script,) = resolve(VARIABLES["gpu_cluster"]["default"])["init_scripts"]
    path = Path(script["workspace"]["destination"])
    subprocess.run(["bash", "-n", str(path)], check=True)
    for requirement in PROJECT["optional-dependencies"]["gpu"]:
        assert f'"{requirement}"' in path.read_text(encoding="utf-8")
    # Spark and Delta are the runtime's: neither the wheel nor the script may bring others.
    assert not [one for one in PROJECT["dependencies"] if one.startswith(("pyspark", "delta"))]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [(["history", "--help"], 0, ""), (["ingest", "no_such=1"], 1, "exit code 2"), ([], 1, "exit code 2")],
)
def test_a_verb_that_is_done_returns_and_one_that_failed_raises(words: list[str], code: int, said: str) -> None:
    done = subprocess.run(
        [sys.executable, str(BUNDLE / "run_verb.py"), *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert ("RuntimeError" in done.stderr) == bool(said)
    assert said in done.stderr
    assert "SystemExit" not in done.stderr


def test_every_command_of_the_page_is_one() -> None:
    found = commands("databricks.md")
    assert {words[2] for words in found if words[:2] == ["databricks", "bundle"]} == {"validate", "deploy", "run"}
    for words in found:
        if words[0] == "cd":
            assert (ROOT / words[1]).resolve() == BUNDLE
            continue
        assert words[0] == "databricks"
        for variable in options(words, "--var"):
            assert variable.partition("=")[0] in VARIABLES
        assert all(target in TREE["targets"] for target in options(words, "--target"))
        if words[1:3] == ["bundle", "run"]:
            known = {one["name"] for one in JOBS[words[3]].get("parameters", ())}
            assert all(one.partition("=")[0] in known for one in options(words, "--params"))
    assert all((ROOT / "docs" / target).exists() for target in links("databricks.md"))


def test_the_page_names_every_job_and_every_variable_to_choose() -> None:
    text = (ROOT / "docs" / "databricks.md").read_text(encoding="utf-8")
    for name in [*JOBS, *CHOSEN]:
        assert f"`{name}`" in text, name
