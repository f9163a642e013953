"""Which refinement versions a report shows."""

from prox_spark.errors import UsageError
from prox_spark.tables.store import Store
from prox_spark.versions.names import Version, newest_version, open_version


def readings(store: Store, before: str | None, after: str | None) -> tuple[Version, ...]:
    """The version that ``after`` names (default: the newest), preceded by the version that ``before`` names, if any.

    Raises ``UsageError`` for a name that does not exist, two names of one version, and a store without refinements.
    """
    last = newest_version(store) if after is None else open_version(store, after)
    if last is None:
        raise UsageError(f"{store.location}: there is no refinement yet; `prox-spark refine` creates one")
    if before is None:
        return (last,)
    first = open_version(store, before)
    if first.name == last.name:
        raise UsageError(f"--from and --to both name {first.name}; name two versions")
    return (first, last)
