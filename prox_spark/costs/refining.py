"""Tokens that a refinement's models read and wrote, from the tables, to count the compute of refining."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from prox_spark.costs.compute import Parameters, Stage, count_parameters
from prox_spark.engines.models import local_folder
from prox_spark.errors import RefinerError, UsageError
from prox_spark.generation.kinds import KINDS
from prox_spark.tables.store import open_store
from prox_spark.versions.names import Version, open_version, own_rows


def refinement_stages(
    spark: SparkSession, location: str, refinement: str, fingerprint: str | None = None
) -> list[Stage]:
    """The stages of a refinement (``NAME`` or ``NAME:VERSION``) with their tokens and their models' parameters.

    Raises ``UsageError`` or ``StoreError`` if store or refinement do not exist, or if its fingerprint is not ``fingerprint``.
    """
    version = open_version(open_store(spark, location), refinement)
    if fingerprint is not None and version.row["fingerprint"] != fingerprint:
        raise UsageError(
            f"{location} has a different refinement with this name; set store to the store of the model's data"
        )
    return stages_of(version)


def stages_of(version: Version) -> list[Stage]:
    """The stages of an open version; null stages are skipped."""
    sums = (F.sum("prompt_tokens").alias("prompt"), F.sum("output_tokens").alias("output"))
    configuration = json.loads(version.row["configuration"])
    programs = own_rows(version, "programs")
    if configuration.get("document") and configuration.get("chunk"):
        # Only chunk programs that this refinement needs: another refinement may have requested them for more documents.
        least = configuration["chunk"]["min_keep_score"]
        least = configuration["execution"]["drop_document_below"] if least is None else least
        document, chunk = (programs.where(F.col("stage") == stage) for stage in ("document", "chunk"))
        chosen = document.where(F.col("keep_score") >= least).select("doc_id", "content_hash")
        programs = document.unionByName(chunk.join(chosen, ["doc_id", "content_hash"], "left_semi"))
    counted = {row["stage"]: row for row in programs.groupBy("stage").agg(*sums).collect()}
    found = []
    for stage in ("document", "chunk"):
        engine = (configuration.get(stage) or {}).get("engine")
        if engine is None or stage not in counted:
            continue
        row = counted[stage]
        refiner = str(engine.get("refiner") or engine.get("model") or engine["kind"])
        found.append(Stage(stage, refiner, engine_parameters(engine), row["prompt"] or 0, row["output"] or 0))
    return found


def engine_parameters(engine: Mapping[str, Any]) -> int | None:
    """Parameters of the engine's model without embeddings, 0 if it runs none; ``None`` if the weights are missing."""
    if not KINDS[engine["kind"]].has_model:
        return 0
    folder = _folder(str(engine.get("refiner") or engine["model"]), engine.get("revision"))
    counted = None if folder is None else folder_parameters(folder)
    return None if counted is None else counted.without_embeddings


def _folder(model: str, revision: str | None) -> Path | None:
    try:
        return local_folder(model)
    except RefinerError:
        pass
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(model, revision=revision, local_files_only=True))
    # Not installed, never downloaded, or a folder of another machine: the weights cannot be counted here.
    except (ImportError, OSError, ValueError):
        return None


def folder_parameters(folder: Path) -> Parameters | None:
    """Parameters of a folder's safetensors, from their headers alone; ``None`` if it has none."""
    tensors: list[tuple[str, tuple[int, ...]]] = []
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as read:
            header = json.loads(read.read(int.from_bytes(read.read(8), "little")))
        tensors += [(name, tuple(one["shape"])) for name, one in header.items() if name != "__metadata__"]
    return count_parameters(tensors) if tensors else None
