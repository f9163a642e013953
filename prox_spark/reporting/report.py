"""``report``: writes the results of one or two refinement versions as one page."""

import logging
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import SparkSession

from prox_spark.errors import InstallationError, UsageError
from prox_spark.reporting.facts import read_facts, read_models
from prox_spark.reporting.reading import readings
from prox_spark.reporting.sample import read_sample
from prox_spark.tables.store import open_store

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Written:
    """The written page: its versions, number of documents and size."""

    file: str
    versions: list[str]
    documents: int
    bytes: int


def report(
    spark: SparkSession,
    store: str,
    file: str | Path,
    *,
    before: str | None = None,
    after: str | None = None,
    sample: int = 500,
    seed: int = 0,
    evaluation: str | Path | None = None,
) -> Written:
    """Write one HTML page that shows a refinement version, or what changed between two.

    ``store``: a path or a catalog's ``schema``. ``file``: the page. ``after``: the version to show, ``NAME``,
    ``NAME:VERSION`` or ``@N``; default: the newest. ``before``: the version to compare it with. ``sample``: how many
    documents are in the page, the same ones for the same ``seed``. ``evaluation``: an ``evaluation.json`` whose models it
    shows, too.

    Returns the file, the names of the versions, the number of documents and the bytes of the page.
    Raises ``UsageError`` for names that do not exist and files that cannot be read or written, ``InstallationError`` if
    the extra ``report`` is not installed.

    >>> done = prox_spark.report(spark, "my-store", "report.html", before="documents", after="rules")
    >>> done.versions, done.documents
    (['documents:0', 'rules:0'], 3)
    """
    file = Path(file)
    try:
        from prox_spark.reporting.page import render, write
        from prox_spark.reporting.pictures import pictures
    except ModuleNotFoundError as error:
        raise InstallationError(
            f"report needs {error.name}, which is not installed: pip install 'prox-spark[report]'"
        ) from None
    if not file.parent.is_dir():
        raise UsageError(f"{file}: the folder {file.parent} does not exist")
    models = () if evaluation is None else read_models(Path(evaluation))
    shown = readings(open_store(spark, store), before, after)
    _log.info("report: reading the counts of %s", ", ".join(version.name for version in shown))
    facts = read_facts(shown, models)
    _log.info("report: reading a sample of %d documents", sample)
    documents = read_sample(shown, sample, seed)
    write(render(facts, pictures(facts), documents, seed), file)
    return Written(str(file), [version.name for version in facts.versions], len(documents), file.stat().st_size)
