"""``evaluate``: refines labelled files and compares the results with the labels; measures pretrained models.

Each file gets a separate store, so the measurement covers a complete refinement, with guards and failures, and a second run
runs no model.
"""

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from prox_spark.config.evaluate import EvaluateConfig
from prox_spark.config.models import Config, FuseConfig, InputConfig
from prox_spark.corpora.labels import by_short_name
from prox_spark.costs.compute import Stage
from prox_spark.costs.refining import refinement_stages
from prox_spark.errors import ConfigError
from prox_spark.evaluation.labels import LabelFile, read_labels
from prox_spark.evaluation.measure import judge, judge_groups, judge_scores, rates, sweep
from prox_spark.evaluation.models import evaluate_models, named_folders, refinements_named
from prox_spark.evaluation.pictures import check_drawing, draw_thresholds
from prox_spark.generation.plan import Plans, StagePlan, plan_stages
from prox_spark.pipeline import refine
from prox_spark.tables.refinements import last_version
from prox_spark.tables.store import Store, open_store, quoted
from prox_spark.versions.sql import query

_log = logging.getLogger(__name__)

_ANYTHING = FuseConfig(kept_documents=(0.0, 1.0), kept_characters=(0.0, 1.0), failed_chunks=1.0)


@dataclass(frozen=True)
class Evaluation:
    """The measurements, by file, and the folder with ``evaluation.json`` and the charts.

    ``models`` and ``compute`` are the results of ``evaluation.models.evaluate_models``, empty if no model was measured.
    """

    output: str
    pages: dict[str, dict[str, Any]]
    documents: dict[str, dict[str, Any]]
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    compute: dict[str, Any] = field(default_factory=dict)


def evaluate(start: Callable[[], SparkSession], config: Config) -> Evaluation:
    """Measure the chunk refiner on ``evaluate.pages``, the document refiner on ``evaluate.documents``, and ``evaluate.models``.

    ``start`` gives the session; models need one only if they were trained on a refinement, whose compute is read from its store.
    Raises ``ConfigError`` if a measured stage is null, ``TrainingError`` for files without labels.
    """
    settings = config.evaluate
    if settings is None:
        raise ConfigError(
            "evaluate is not set: set evaluate.pages or .documents to files with labels, or evaluate.models to model folders"
        )
    asked = (
        ("pages", settings.pages, "chunk", config.chunk),
        ("documents", settings.documents, "document", config.document),
    )
    for key, files, name, stage in asked:
        if files and stage is None:
            raise ConfigError(f"evaluate.{key} is set, but {name} is null: set {name}.engine, or remove evaluate.{key}")
    check_drawing()
    folders = named_folders(settings)
    labelled = bool(settings.pages or settings.documents)
    plans = plan_stages(config) if labelled else None
    spark = start() if labelled or refinements_named(folders) else None
    output = Path(settings.output).expanduser().absolute()
    output.mkdir(parents=True, exist_ok=True)
    whole: dict[str, Any] = {"pages": {}, "documents": {}}
    if plans is not None and spark is not None:
        whole = _labels(spark, config, settings, plans)
        draw_thresholds({**whole["pages"], **whole["documents"]}, output / "thresholds.svg")
    if folders:

        def refining(refinement: str, fingerprint: str | None) -> list[Stage]:
            assert spark is not None, "it is started where a model names a refinement"
            return refinement_stages(spark, config.store, refinement, fingerprint)

        whole |= evaluate_models(settings, folders, output, refining)
    (output / "evaluation.json").write_text(json.dumps(whole, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return Evaluation(str(output), **whole)


def _labels(spark: SparkSession, config: Config, settings: EvaluateConfig, plans: Plans) -> dict[str, Any]:
    pages = {
        path: _pages(spark, config, settings, plans, read_labels(path, documents=False)) for path in settings.pages
    }
    documents = {
        path: _documents(spark, config, settings, plans, read_labels(path, documents=True))
        for path in settings.documents
    }
    return {"pages": by_short_name(pages), "documents": by_short_name(documents)}


def _pages(
    spark: SparkSession, config: Config, settings: EvaluateConfig, plans: Plans, file: LabelFile
) -> dict[str, Any]:
    run = _run(config, settings, file, document=None)
    _log.info("evaluate: %d labelled pages, store %s", len(file.labels), run.store)
    refined = _refine(spark, run)
    store = open_store(spark, run.store)
    labels = file.labels
    stays = {name: np.ones(len(one.keep)) for name, one in labels.items()}
    removed = f"SELECT doc_id, line_number FROM `dropped_lines@{refined}` WHERE replacement IS NULL"
    for row in query(spark, run.store, removed).toLocalIterator():
        stays[row[0]][row[1]] = 0.0
    gone = f"SELECT doc_id FROM `dropped_documents@{refined}` UNION SELECT doc_id FROM `quarantine@{refined}` "
    gone += f"WHERE refinement = {quoted(refined.rpartition(':')[0])}"
    for row in query(spark, run.store, gone).toLocalIterator():
        stays[row[0]][:] = 0.0
    read = {row[0] for row in store.read("documents").select("doc_id").collect()}
    names = sorted(name for name in labels if name in read)
    ordered, kept = [labels[name] for name in names], [stays[name] for name in names]
    programs = _programs(store, plans.chunk)
    found = judge(ordered, kept) | {"groups": judge_groups(ordered, kept), "chunks": _chunks(programs)}
    found["unread"] = len(labels) - len(names)
    found["semantics"] = _semantics(store, refined)
    scores = _line_scores(programs, {name: len(labels[name].keep) for name in names})
    if scores is not None:
        keep, words = (np.concatenate([getattr(one, key) for one in ordered]) for key in ("keep", "words"))
        given = np.concatenate([scores[name] for name in names])
        asked = ~np.isnan(given)
        found["sweep"] = sweep(keep, np.nan_to_num(given, nan=1.0), words, settings.thresholds)
        found["scores"] = judge_scores(keep[asked], given[asked])
    return found


def _documents(
    spark: SparkSession, config: Config, settings: EvaluateConfig, plans: Plans, file: LabelFile
) -> dict[str, Any]:
    run = _run(config, settings, file, chunk=None)
    _log.info("evaluate: %d labelled documents, store %s", len(file.labels), run.store)
    _refine(spark, run)
    rows = _programs(open_store(spark, run.store), plans.document).select("doc_id", "keep_score").collect()
    scores = {row[0]: row[1] for row in rows if row[1] is not None}
    names = sorted(name for name in file.labels if name in scores)
    keep = np.array([file.labels[name].keep[0] for name in names])
    given = np.array([scores[name] for name in names])
    ones = np.ones(len(names))
    stays = (given >= config.execution.drop_document_below).astype(float)
    return {
        "documents": len(file.labels),
        "failed": len(file.labels) - len(names),
        "keep": rates(keep, stays, ones),
        "remove": rates(1 - keep, 1 - stays, ones),
        "keep_everything": rates(keep, ones, ones)["f1"],
        "scores": judge_scores(keep, given) if len(names) else None,
        "sweep": sweep(keep, given, ones, settings.thresholds),
    }


def _run(config: Config, settings: EvaluateConfig, file: LabelFile, **off: None) -> Config:
    """The configuration with the file as its corpus, in a store beside the evaluation, one stage off."""
    format_name = "parquet" if file.path.endswith(".parquet") else "json"
    columns = {"doc_id": "doc_id", "text": file.text_column}
    path = Path(file.path).absolute()
    # The store belongs to this state of the file: another file with its name, or a changed file, gets another store.
    written = path.stat()
    mark = hashlib.sha256(f"{path} {written.st_size} {written.st_mtime_ns}".encode()).hexdigest()[:8]
    changed = {
        "store": str(Path(settings.output).expanduser().absolute() / f"{path.name.split('.')[0]}-{mark}"),
        "refinement": None,
        "input": InputConfig(path=file.path, format=format_name, columns=columns),
        "fuse": _ANYTHING,
        **off,
    }
    return config.model_copy(update=changed)


def _programs(store: Store, stage: StagePlan | None) -> DataFrame:
    """This refiner's programs; the store may also contain those of refiners evaluated earlier."""
    assert stage is not None, "a stage that is null is refused before"
    return store.read("programs").where((F.col("stage") == stage.stage) & (F.col("refiner") == stage.fingerprint))


def _refine(spark: SparkSession, run: Config) -> str:
    """Refine, and return the refinement's ``NAME:VERSION`` for SQL over the store."""
    done = refine(spark, run)
    return f"{done.refinement}:{done.version}"


def _semantics(store: Store, refined: str) -> int | None:
    """The version of the rules that a refinement executes programs by; None where the published executor does."""
    row = last_version(store, refined.rpartition(":")[0])
    assert row is not None, "it was refined"
    identity = json.loads(row["identity"])
    return None if identity["execution.mode"] == "compat" else int(identity["semantics"])


def _chunks(programs: DataFrame) -> dict[str, Any]:
    """Number of chunks by status, and the share that failed or was not a valid program."""
    counts = {row[0]: row[1] for row in programs.groupBy("status").count().orderBy("status").collect()}
    total = sum(counts.values())
    bad = counts.get("failed", 0) + counts.get("invalid", 0)
    return {"total": total, "by_status": counts, "failed_share": bad / total if total else 0.0}


def _line_scores(programs: DataFrame, lines: dict[str, int]) -> dict[str, Any] | None:
    """Each page's scores, NaN for lines that were not scored; None if the refiner gives no scores."""
    rows = programs.where("line_scores IS NOT NULL").select("doc_id", "line_start", "line_scores").collect()
    if not rows:
        return None
    found = {name: np.full(count, np.nan) for name, count in lines.items()}
    for name, start, scores in rows:
        found[name][start : start + len(scores)] = scores
    return found
