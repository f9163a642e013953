"""Why stage-level scheduling is off, read off the settings of a session."""

from typing import Any

import pytest
from pyspark.errors import AnalysisException

from prox_spark.generation.scheduling import default_partitions, why_not
from prox_spark.session import setting


class Settings:
    """As much of a session as is looked at: its settings."""

    def __init__(self, **settings: str) -> None:
        self.conf = self
        self.settings = {key.replace("__", "."): value for key, value in settings.items()}

    def get(self, key: str, default: str | None = None) -> str | None:
        return self.settings.get(key, default)


GPU = {"spark__executor__resource__gpu__amount": "2"}


@pytest.mark.parametrize(
    ("settings", "reasons"),
    [
        ({"spark__master": "local[2]"}, ["the master is local[2]", "executors have no GPU"]),
        ({"spark__master": "local[*]", **GPU}, ["the master is local[*]"]),
        ({"spark__master": "yarn"}, ["executors have no GPU"]),
        ({"spark__master": "spark://host:7077", **GPU}, []),
        ({"spark__master": "local-cluster[2,2,1024]", **GPU}, []),
    ],
)
def test_each_reason_is_named(settings: dict[str, str], reasons: list[str]) -> None:
    session: Any = Settings(**settings)
    found = why_not(session)
    assert len(found) == len(reasons)
    assert all(reason in line for reason, line in zip(reasons, found, strict=True))


class Closed(Settings):
    """As Databricks serverless: to read a property is an error, whatever default is given."""

    def get(self, key: str, default: str | None = None) -> str | None:
        raise AnalysisException(f"[CONFIG_NOT_AVAILABLE] Configuration {key} is not available.")


def test_properties_that_may_not_be_read_count_as_not_set() -> None:
    closed: Any = Closed()
    assert setting(closed, "spark.app.id") == ""
    assert default_partitions(closed) == 3
    assert [reason for reason in why_not(closed) if "executors have no GPU" in reason]


def test_every_gpu_has_several_tasks_and_every_core_where_their_number_is_unknown() -> None:
    known: Any = Settings(spark__executor__instances="3", spark__sql__shuffle__partitions="4", **GPU)
    assert default_partitions(known) == 3 * 4 * 6
    unbounded: Any = Settings(
        spark__dynamicAllocation__maxExecutors="2147483647", spark__sql__shuffle__partitions="200", **GPU
    )
    assert default_partitions(unbounded) == 600
    assert default_partitions(Settings(spark__sql__shuffle__partitions="auto")) == 3  # type: ignore[arg-type]
