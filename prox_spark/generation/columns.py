"""The score column that a refiner reads, and the error if no document has it."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from prox_spark.config.engines import ColumnSettings, DuplicatesSettings
from prox_spark.errors import ConfigError
from prox_spark.generation.plan import StagePlan
from prox_spark.suggest import unknown

_NO_SCORES = ("text", "metadata", "chunks")
_LOOKED_AT = 1000


def with_score(documents: DataFrame, plan: StagePlan) -> DataFrame:
    """The documents with ``score``, a string, where the stage's refiner reads a column."""
    name = _wanted(plan)
    return documents if name is None else documents.withColumn("score", _score(documents, name))


def check_column(documents: DataFrame, plan: StagePlan) -> None:
    """Raises ``ConfigError``, with the nearest names, where not one document has the column that the refiner reads."""
    wanted = _wanted(plan)
    if (
        wanted is None
        or wanted in _columns(documents)
        or not documents.where(_score(documents, wanted).isNotNull()).isEmpty()
    ):
        return
    some = documents.limit(_LOOKED_AT).select(F.explode(F.map_keys("metadata")).alias("name")).distinct()
    keys = sorted(row["name"] for row in some.limit(_LOOKED_AT).collect())
    raise ConfigError(
        f"document.engine.{'column' if isinstance(plan.settings, ColumnSettings) else 'score'}: "
        f"{unknown('column or key of metadata', wanted, [*_columns(documents), *keys])}"
    )


def _wanted(plan: StagePlan) -> str | None:
    settings = plan.settings
    if isinstance(settings, ColumnSettings):
        return settings.column
    return settings.score if isinstance(settings, DuplicatesSettings) else None


def _columns(documents: DataFrame) -> list[str]:
    return [name for name in documents.columns if name not in _NO_SCORES]


def _score(documents: DataFrame, name: str) -> Column:
    found = F.col(f"`{name}`") if name in _columns(documents) else F.try_element_at("metadata", F.lit(name))
    return found.cast("string")
