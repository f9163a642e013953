"""``refine``: the three steps from corpus files to a refinement version; and ``generate``, which tests a model with the
execution settings of its refinement. No other module combines the steps."""

from dataclasses import asdict, dataclass

from pyspark.sql import SparkSession

from prox_spark.config.models import Config, ExecutionConfig
from prox_spark.generation.generate import Generated, generate_stages
from prox_spark.generation.plan import Plans, plan_stages
from prox_spark.ingestion.ingest import Ingested, find_files, ingest_files
from prox_spark.refinement.execute import execute_refiners
from prox_spark.refinement.standing import find_standing
from prox_spark.session import Session, started
from prox_spark.tables.store import Store


@dataclass(frozen=True)
class Refined:
    """The result of one ``refine``: each step, and the refinement version that is current after it.

    ``ingest`` and ``generate`` (one entry per stage) are zeros if nothing was pending; ``new`` is False if the version
    existed before. ``counts`` are those of ``refinements``, over all documents of the version. The fields in their order
    are the JSON document of ``prox-spark refine --output json``.
    """

    store: str
    ingest: Ingested
    generate: list[Generated]
    refinement: str
    version: int
    new: bool
    counts: dict[str, int]


def generate(spark: SparkSession, config: Config, *, retry_failed: bool = False) -> list[Generated]:
    """Write the programs of both stages for every document of the store that has none yet.

    ``retry_failed`` first retries failed requests; an answer replaces the failed row.

    Returns one entry per stage, document stage first: the refiner's fingerprint, documents, chunks, tokens, time.
    Raises ``ConfigError`` and ``RefinerError`` for stages that cannot be run, ``StoreError`` if there is no store,
    ``SelfTestError`` for a model that does nothing to pages of boilerplate, ``EngineError`` for an engine that does not start
    or dies too often, ``LeaseError`` while another job generates with the same refiner.

    >>> config = prox_spark.load_config("rules", ["store=my-store", "input.path=pages.json", "input.format=json"])
    >>> [(stage.stage, stage.documents, stage.failed) for stage in prox_spark.generate(spark, config)]
    [('document', 3, 0), ('chunk', 2, 0)]
    """
    return _generate(spark, config, plan_stages(config), retry_failed)


def _generate(spark: SparkSession, config: Config, plans: Plans, retry_failed: bool) -> list[Generated]:
    def judged_by(store: Store) -> ExecutionConfig:
        return find_standing(store, config, plans.refiners)[0].execution

    return generate_stages(spark, config, plans, judged_by, retry_failed=retry_failed)


def refine(spark: Session, config: Config, *, retry_failed: bool = False) -> Refined:
    """Ingest, generate and execute: from corpus files to a refinement version. Does nothing if nothing is pending.

    ``spark``: a session, or a function that returns one. It is called after the files and the refiners are found, so
    that a wrong configuration fails before Spark starts.
    ``config``: what ``load_config`` returns.
    ``retry_failed``: first retry the requests that failed before.

    Raises what ``ingest``, ``generate`` and ``execute`` raise: ``UsageError`` and its subclasses for errors in the
    configuration or the input, other ``ProxSparkError`` for later errors.

    >>> config = prox_spark.load_config("rules", ["store=my-store", "input.path=pages.json", "input.format=json"])
    >>> done = prox_spark.refine(spark, config)
    >>> done.refinement, done.version, done.new
    ('rules', 0, True)
    >>> done.counts["documents"], done.counts["refined"], done.counts["lines_removed"]
    (3, 2, 4)
    >>> prox_spark.refine(spark, config).new
    False
    """
    files = find_files(config)
    plans = plan_stages(config)
    session = started(spark)
    read = ingest_files(session, config, files)
    stages = _generate(session, config, plans, retry_failed)
    # The planned refiners, so that neither the store nor the model hub is queried a second time.
    done = execute_refiners(session, config, plans.refiners)
    return Refined(config.store, read, stages, **asdict(done))
