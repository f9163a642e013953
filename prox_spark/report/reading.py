"""The refinement versions that a report shows, and their tables."""

from dataclasses import dataclass

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from prox_spark.errors import UsageError
from prox_spark.tables.store import Store
from prox_spark.versions.names import find_refinement


@dataclass(frozen=True)
class Reading:
    """A refinement version to be read: its row of ``refinements``."""

    store: Store
    row: Row

    def read(self, table: str) -> DataFrame:
        """One of ``schemas.VERSIONED`` as of this version."""
        return self.store.read(table, self.row[f"{table}_version"])

    def programs(self) -> DataFrame:
        """The programs by this refinement's own refiners."""
        wanted = F.lit(False)
        for stage in ("document", "chunk"):
            fingerprint = self.row[f"{stage}_refiner"]
            if fingerprint is not None:
                wanted = wanted | ((F.col("stage") == stage) & (F.col("refiner") == fingerprint))
        return self.read("programs").where(wanted)


def readings(store: Store, before: str | None, after: str | None) -> tuple[Reading, ...]:
    """The version that ``after`` names (the newest of all unless given), and before it the one that ``before`` names.

    Raises ``UsageError`` for a name that does not exist, two names of one version, and a store without refinements.
    """
    last = find_refinement(store, after)
    if last is None:
        raise UsageError(f"{store.location}: there is no refinement to report on yet; `prox-spark refine` makes one")
    if before is None:
        return (Reading(store, last),)
    first = find_refinement(store, before)
    assert first is not None, "a name that is given is found or refused"
    if all(first[key] == last[key] for key in ("refinement", "version")):
        raise UsageError(f"--from and --to both name {first['refinement']}:{first['version']}; name two versions")
    return (Reading(store, first), Reading(store, last))
