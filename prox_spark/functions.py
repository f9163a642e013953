"""Programs in any DataFrame or SQL, without a store, and so without versions, logs and resuming.

>>> from prox_spark.config import load_config
>>> from prox_spark.functions import apply_program, generate_programs
>>> config = load_config(None, ["store=unused", "document=null", "chunk.engine.kind=rules"])
>>> pages = spark.createDataFrame([("Log in | Register\\nThe mill stands still, and the tide turns twice a day.",)], ["text"])
>>> refined = pages.select(apply_program("text", generate_programs(config)("text")).alias("text"))
>>> refined.first()["text"]
'The mill stands still, and the tide turns twice a day.'
"""

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from prox_spark.config.models import Config
from prox_spark.errors import ConfigError
from prox_spark.execution import ExecutionSettings, Mode, execute_batch
from prox_spark.generation import task
from prox_spark.generation.kinds import kind_of
from prox_spark.generation.plan import StagePlan, plan_stages
from prox_spark.spark_api import arrow_udf

PROGRAMS_TYPE = (
    "array<struct<line_start:bigint,line_end:bigint,output:string,numbering_offset:bigint,line_scores:array<float>,"
    "confidences:array<float>>>"
)
"""A document's programs: covered lines, output, offset of line numbers, and, if any, scores of the lines and confidences
of the calls."""

_ARROW = pa.list_(
    pa.struct(
        [
            ("line_start", pa.int64()),
            ("line_end", pa.int64()),
            ("output", pa.string()),
            ("numbering_offset", pa.int64()),
            ("line_scores", pa.list_(pa.float32())),
            ("confidences", pa.list_(pa.float32())),
        ]
    )
)


def generate_programs(config: Config) -> Callable[[str | Column], Column]:
    """A function from a column of texts to one of their programs (``PROGRAMS_TYPE``), by the configuration's refiners.

    A document below ``execution.drop_document_below`` gets the program ``drop_doc()``; null stays null. Tasks share their
    executor's engine. Raises ``RefinerError`` here, before any row, if a refiner cannot be used; a document whose
    answer fails has an empty program. Raises ``ConfigError`` for engines that need more than the text
    (``dsir``, ``random``, ``column``).
    """
    plans = plan_stages(config)
    if plans.document is not None and kind_of(plans.document.settings).reads == "document":
        raise ConfigError(
            f"document.engine.kind={plans.document.settings.kind} needs a document's id or metadata, which a column of texts "
            "does not have; refine a store, or set document=null"
        )
    below = config.execution.drop_document_below

    def programs(texts: pa.Array) -> pa.Array:
        return _generate(texts, plans.document, plans.chunk, below)

    generated = arrow_udf(PROGRAMS_TYPE, programs, [pa.string()])
    return lambda text: generated(_column(text))


def apply_program(text: str | Column, program: str | Column, mode: Mode = "strict", **settings: Any) -> Column:
    """The refined text: ``""`` if the program drops the document, null if the text is null or cannot be executed.

    ``program`` is a column of strings, each a program for its whole document, or one that ``generate_programs`` made.
    ``settings`` are those of ``execution`` in ``strict`` mode, with their defaults (``drop_line_below`` is 0.5 by default,
    independent of the configuration of ``generate_programs``). Raises ``ConfigError`` for values that do not fit, and for
    any in ``compat`` mode, which has none.
    """
    if mode == "compat" and settings:
        raise ConfigError(f"compat mode has no settings: remove {', '.join(settings)}")
    return _applying(mode, ExecutionSettings(**settings))(_column(text), _column(program))


def register(spark: SparkSession) -> None:
    """Make ``apply_program(text, program)`` known to the session's SQL, for programs that are strings.

    It removes what the program says: the guards for short and nearly empty results are off.

    >>> from prox_spark.functions import register
    >>> register(spark)
    >>> spark.sql("SELECT apply_program('Home\\nWords', 'remove_lines(0, 0)')").first()[0]
    'Words'
    """
    spark.udf.register("apply_program", _applying("strict", ExecutionSettings(max_removed_share=1.0, min_words=0)))


def _applying(mode: Mode, settings: ExecutionSettings) -> Any:
    def applied(texts: pa.Array, programs: pa.Array) -> pa.Array:
        if pa.types.is_string(programs.type) or pa.types.is_large_string(programs.type):
            whole = pc.fill_null(programs.cast(pa.string()), "")
            programs = pa.ListArray.from_arrays(pa.array(range(len(whole) + 1), pa.int32()), whole)
        return execute_batch(texts, programs, mode, settings=settings).texts.cast(pa.string())

    return arrow_udf("string", applied, [pa.string(), _ARROW])


def _column(given: str | Column) -> Column:
    return F.col(given) if isinstance(given, str) else given


def _generate(texts: pa.Array, document: StagePlan | None, chunk: StagePlan | None, below: float) -> pa.Array:
    """The programs of one Arrow batch, in its order."""
    ids = pa.array([str(place) for place in range(len(texts))])
    unit = pa.array([0] * len(texts), pa.int64())
    batch = pa.RecordBatch.from_arrays([ids, ids, unit, texts], ["doc_id", "content_hash", "unit", "text"])
    found: list[list[dict[str, Any]] | None] = [None if text is None else [] for text in texts.to_pylist()]
    asked = pc.is_valid(texts)
    if document is not None:
        dropped = {int(row["doc_id"]) for row in _rows(batch.filter(asked), document) if _is_dropped(row, below)}
        for place in dropped:
            found[place] = [_program({"line_start": 0, "output": "drop_doc()"})]
        asked = pc.and_(asked, pa.array([place not in dropped for place in range(len(texts))]))
    if chunk is not None:
        for row in _rows(batch.filter(asked), chunk):
            if row["line_start"] is not None:
                programs = found[int(row["doc_id"])]
                assert programs is not None, "the text is null"
                programs.append(_program(row))
    return pa.array(found, _ARROW)


def _is_dropped(row: dict[str, Any], below: float) -> bool:
    """A blank document sends no request and is dropped; a document whose request failed is kept."""
    score = row["keep_score"]
    return bool(row["status"] == "skipped" if score is None else score < below)


def _rows(batch: pa.RecordBatch, stage: StagePlan) -> Iterator[dict[str, Any]]:
    for made in task.generate_programs(iter([batch]), stage):
        yield from made.to_pylist()


def _program(row: dict[str, Any]) -> dict[str, Any]:
    calls = row.get("calls")
    return {
        "line_start": row["line_start"],
        "line_end": row.get("line_end"),
        "output": row["output"] or "",
        "numbering_offset": row.get("line_offset") or 0,
        "line_scores": row.get("line_scores"),
        "confidences": [call["confidence"] for call in calls] if calls else None,
    }
