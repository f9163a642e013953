"""Suites of tasks, run by EleutherAI's lm-evaluation-harness (the extra ``harness``).

A suite is a YAML file: its tasks by their common names, with the harness's name, the reported metric, and the examples
shown before a question. Some ship with the package.
"""

import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from prox_spark.errors import ConfigError, InstallationError, ProxSparkError
from prox_spark.library import Library
from prox_spark.section import Section
from prox_spark.suggest import unknown

SUITES = Library("suite", "suites", ".yaml")


class _Entry(Section):
    name: str
    task: str
    metric: str
    shots: int | None = Field(default=None, ge=0)
    absent: str | None = None
    """Why the harness may lack the task; without a reason, an unknown task is an error."""


class _File(Section):
    about: str = ""
    tasks: list[_Entry] = Field(min_length=1)


@dataclass(frozen=True)
class Suite:
    """A suite: its name, its tasks in order."""

    name: str
    tasks: tuple[_Entry, ...]


def load_suite(name: str) -> Suite:
    """A suite by name if it ships with the package, else by the path of a file, like a configuration.

    Raises ``ConfigError`` if there is none (the nearest name is shown), or if the file is not a suite.
    """
    try:
        read = _File.model_validate(yaml.safe_load(SUITES.text_of(name)))
    except OSError as error:
        raise ConfigError(f"evaluate.suite {name}: cannot be read ({error.strerror})") from None
    except ConfigError as error:
        raise ConfigError(f"evaluate.suite: {error}") from None
    except (yaml.YAMLError, ValidationError) as error:
        raise ConfigError(
            f"evaluate.suite {name}: is not a suite file ({' '.join(str(error).split())[:300]})"
        ) from None
    return Suite(Path(name).stem, tuple(read.tasks))


@dataclass(frozen=True)
class Prepared:
    """A suite that the installed harness can run: the available tasks, and why others are skipped."""

    suite: Suite
    tasks: tuple[_Entry, ...]
    absent: dict[str, str]
    manager: Any


def prepare(suite: Suite, own_tasks: str | None) -> Prepared:
    """Look every task up, in the folder of ``own_tasks`` (task files of the harness) first.

    Raises ``InstallationError`` if the harness is not installed, ``ConfigError`` for a task that it does not know.
    """
    try:
        from lm_eval.tasks import TaskManager
    except ModuleNotFoundError as error:
        raise InstallationError(
            f"evaluate.suite needs {error.name}, which is not installed: pip install 'prox-spark[harness]'"
        ) from None
    if own_tasks is not None and not Path(own_tasks).is_dir():
        raise ConfigError(f"evaluate.tasks {own_tasks}: no such folder")
    wanted = {entry.task for entry in suite.tasks}
    manager = None
    # Listing the harness's ten thousand tasks takes seconds: skip it if the suite needs none of them.
    if own_tasks is not None:
        manager = TaskManager(include_path=own_tasks, include_defaults=False)
    if manager is None or not wanted <= set(manager.all_tasks):
        manager = TaskManager(include_path=own_tasks)
    known = set(manager.all_tasks)
    lacking = [entry for entry in suite.tasks if entry.task not in known]
    for entry in lacking:
        if entry.absent is None:
            raise ConfigError(
                f"evaluate.suite {suite.name}: {entry.name}: {unknown('task of the harness', entry.task, sorted(known))}; "
                "set evaluate.tasks to a folder that defines it"
            )
    return Prepared(
        suite,
        tuple(entry for entry in suite.tasks if entry.task in known),
        {entry.name: str(entry.absent) for entry in lacking},
        manager,
    )


def run_suite(prepared: Prepared, model: Any, tokenizer: Any, window: int, begin: int | None = None) -> dict[str, Any]:
    """The model's scores: each task's metric in percent with its standard error, and their mean.

    ``begin`` is the only token put before a text; without it the tokenizer adds its usual tokens.
    Raises ``ProxSparkError`` if a task's data cannot be loaded.
    """
    found: dict[str, Any] = {}
    harness = _harness_model(model, tokenizer, window, begin)
    for entry in prepared.tasks:
        found[entry.name] = _score(entry, _run(prepared, entry, harness))
    scores = [one["score"] for one in found.values()]
    return {
        "suite": prepared.suite.name,
        "tasks": found,
        "absent": prepared.absent,
        "mean": sum(scores) / len(scores) if scores else None,
    }


def _harness_model(model: Any, tokenizer: Any, window: int, begin: int | None) -> Any:
    from lm_eval.models.huggingface import HFLM

    more = {} if begin is None else {"add_bos_token": False, "prefix_token_id": begin}
    return HFLM(pretrained=model, tokenizer=tokenizer, backend="causal", max_length=window, batch_size=8, **more)


def _run(prepared: Prepared, entry: _Entry, model: Any) -> dict[str, Any]:
    from lm_eval import simple_evaluate

    try:
        # Tasks print; standard output belongs to the verb's answer.
        with redirect_stdout(sys.stderr):
            done = simple_evaluate(
                model,
                tasks=[entry.task],
                num_fewshot=entry.shots,
                task_manager=prepared.manager,
                log_samples=False,
            )
    # Reading a task's data raises errors of the data set and network libraries, without a common base class.
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise ProxSparkError(
            f"evaluate.suite {prepared.suite.name}: {entry.name} ({entry.task}) failed: {type(error).__name__}: {reason}; "
            "harness tasks read their data from the model hub, or from its cache (HF_HOME) without a network"
        ) from error
    results: dict[str, Any] = done["results"]
    return {**results.get(entry.task, {}), "version": done.get("versions", {}).get(entry.task)}


def _score(entry: _Entry, results: dict[str, Any]) -> dict[str, Any]:
    names = (f"{entry.metric},none", entry.metric) if "," not in entry.metric else (entry.metric,)
    for name in names:
        if name in results:
            metric, _, chosen = name.partition(",")
            error = results.get(f"{metric}_stderr,{chosen}" if chosen else f"{metric}_stderr")
            return {
                "task": entry.task,
                "metric": entry.metric,
                "score": 100 * float(results[name]),
                "stderr": 100 * float(error) if isinstance(error, int | float) else None,
                "version": results["version"],
            }
    raise ConfigError(
        f"the harness has no metric {entry.metric!r} for {entry.task}; it has "
        f"{', '.join(sorted(key for key, value in results.items() if isinstance(value, int | float)))}"
    )
