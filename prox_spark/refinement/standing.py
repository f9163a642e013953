"""A configuration's refinement in the store, and the version of the rules that it uses."""

import json

from pyspark.sql import Row

from prox_spark.config.models import Config
from prox_spark.execution.settings import SEMANTICS
from prox_spark.generation.plan import Refiners
from prox_spark.refinement.fingerprint import fingerprint, identity, refinement_name
from prox_spark.tables.refinements import last_version
from prox_spark.tables.store import Store


def find_standing(store: Store, config: Config, refiners: Refiners) -> tuple[Config, Row | None]:
    """The newest row of the configuration's refinement, and the configuration with its version of the rules.

    If the configuration sets no version of the rules, an existing refinement keeps its version, and a new one uses
    ``SEMANTICS``: a newer package does not change stored results.
    """

    def with_rules(semantics: int) -> Config:
        execution = config.execution.model_copy(update={"semantics": semantics})
        return config.model_copy(update={"execution": execution})

    def newest(chosen: Config) -> Row | None:
        return last_version(store, refinement_name(chosen, fingerprint(identity(chosen, refiners))))

    if "semantics" in config.execution.model_fields_set:
        return config, newest(config)
    if config.refinement is not None:
        row = newest(config)
        return (config if row is None else with_rules(json.loads(row["identity"])["semantics"])), row
    # Without a configured name, each version of the rules gives another name.
    for semantics in range(1, SEMANTICS):
        row = newest(with_rules(semantics))
        if row is not None:
            return with_rules(semantics), row
    return config, newest(config)
