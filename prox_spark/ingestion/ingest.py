"""``ingest``: corpus files become rows of ``documents``; unreadable records become rows of ``quarantine``."""

import logging
import time
from collections import Counter
from contextlib import nullcontext
from dataclasses import asdict, astuple, dataclass, field
from datetime import UTC, datetime

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from prox_spark.config.models import Config, InputConfig
from prox_spark.corpora.columns import check_files
from prox_spark.corpora.extraction import check_extractor
from prox_spark.corpora.files import FileInfo, list_files
from prox_spark.corpora.formats import FORMATS
from prox_spark.errors import ConfigError, LeaseError
from prox_spark.ingestion.accounts import Fate, account, check_committed, file_rows, log_accounts, passed_over
from prox_spark.ingestion.advice import advice
from prox_spark.ingestion.comparison import Siblings, compared, duplicates, find_siblings, split_known
from prox_spark.ingestion.sources import read_source, source_batches
from prox_spark.ingestion.task import READ, read_task
from prox_spark.ingestion.units import batches, group_tasks, plan_units, text_bytes
from prox_spark.progress import Progress, duration, quantity
from prox_spark.session import Session, cores, log_session, share_of_tasks, started
from prox_spark.tables.cache import cached
from prox_spark.tables.commits import changes, commit, fence
from prox_spark.tables.leases import Lease, hold
from prox_spark.tables.purpose import Purpose
from prox_spark.tables.store import Store, create_store, spark_schema

_log = logging.getLogger(__name__)

_TABLES = ("documents", "quarantine", "files")

_TASK_BYTES = 64 * 1024**2
"""Bytes of text for each task of a batch: small files share a task."""

_MOST_MESSAGES = 1000
"""A run's advice is based on this many of its most frequent messages."""


@dataclass(frozen=True)
class Ingested:
    """The result of one ``ingest``."""

    files: int
    files_skipped: int
    documents: int
    quarantined: int
    passed: dict[str, int] = field(default_factory=dict)
    """Records that are not documents, such as requests and images of an archive, by reason."""

    def __add__(self, other: "Ingested") -> "Ingested":
        return Ingested(
            self.files + other.files,
            self.files_skipped + other.files_skipped,
            self.documents + other.documents,
            self.quarantined + other.quarantined,
            dict(Counter(self.passed) + Counter(other.passed)),
        )


def find_files(config: Config) -> list[FileInfo]:
    """The files that ``config.input`` names; empty for a Spark source. No Spark needed.

    Raises ``ConfigError`` without an input, ``InputError`` if no file matches or a column is missing,
    ``InstallationError`` if the extractor is not installed.
    """
    source = _input(config)
    if FORMATS[source.format].read_by_spark:
        return []
    check_extractor(source.extract)
    files = list_files(source.path)
    check_files([file.path for file in files], source.format, source.columns or None)
    return files


def ingest(spark: Session, config: Config) -> Ingested:
    """Read the files of ``config.input`` that the store does not have yet, and append their documents; creates the store.

    A file that the store has (same path, size and modification time) is skipped. A document is quarantined if its id exists
    from another place, or if it was forgotten.

    ``spark``: a session, or a function that returns one. It is called after the files have been found, so that wrong input
    fails before Spark starts.

    Returns the numbers of files read and skipped, documents added, records quarantined, and records passed over by reason.
    Every record that was read becomes a document or a row of quarantine; this is checked for each file.
    Raises ``ConfigError`` without an input or for an unknown format, ``InputError`` if no file matches or a column is
    missing, ``LeaseError`` while another job ingests into this store.

    >>> config = prox_spark.load_config("rules", ["store=my-store", "input.path=pages.json", "input.format=json"])
    >>> prox_spark.ingest(spark, config)
    Ingested(files=1, files_skipped=0, documents=3, quarantined=0, passed={})
    >>> prox_spark.ingest(spark, config)
    Ingested(files=0, files_skipped=1, documents=0, quarantined=0, passed={})
    """
    files = find_files(config)
    return ingest_files(started(spark), config, files)


def ingest_files(spark: SparkSession, config: Config, files: list[FileInfo]) -> Ingested:
    """``ingest`` for the result of ``find_files``."""
    source, began, since = _input(config), time.monotonic(), time.time()
    store = create_store(spark, config.store)
    log_session(spark, config.model_dump(mode="json", exclude_defaults=True))
    done = _ingest(store, config, source, files)
    values = {"store": store.location, **asdict(done)}
    told = "ingest finished: %d files read, %d already in the store, %d documents, %d quarantined, %d passed over in %s"
    seconds, numbers = time.monotonic() - began, (*astuple(done)[:4], sum(done.passed.values()))
    _log.info(told, *numbers, duration(seconds), extra={**values, "seconds": round(seconds, 1)})
    _advise(store, source, done, since)
    return done


def _advise(store: Store, source: InputConfig, done: Ingested, since: float) -> None:
    """Log advice if this run (started at ``since``, in seconds) read no document, all for the same reason."""
    if done.documents or not done.quarantined:
        return
    of_this_run = (F.col("stage") == "ingest") & (F.unix_micros("quarantined_at") >= int(since * 1e6))
    rows = store.read("quarantine").where(of_this_run)
    classes = rows.groupBy("error_class").agg(F.count("*").alias("n")).collect()
    if len(classes) != 1:
        return
    messages = rows.groupBy("message").agg(F.count("*").alias("n")).orderBy(F.desc("n")).limit(_MOST_MESSAGES).collect()
    counts = {(classes[0]["error_class"], row["message"] or ""): row["n"] for row in messages}
    line = advice(counts, classes[0]["n"], done.documents, source.format)
    if line is not None:
        _log.warning("ingest: %s", line, extra={"store": store.location})


def _ingest(store: Store, config: Config, source: InputConfig, files: list[FileInfo]) -> Ingested:
    spark = store.spark
    # Read before the units are numbered, so that an ingest in between is noticed.
    version = store.version("documents")
    if FORMATS[source.format].read_by_spark:
        return _ingest_source(store, config, source)
    known, otherwise = _known_files(store, source.format, source.reading(config.limits))
    pending = [file for file in files if _key(file) not in known]
    if other := sum(_key(file) in otherwise for file in files):
        told = (
            "ingest: %d files gave documents with another format, columns, extractor or limits; these stay as they are"
        )
        _log.warning(told, other, extra={"store": store.location, "files": other})
    siblings = find_siblings(files)
    size = sum(file.size for file in pending)
    values = {"store": store.location, "files": len(files), "pending": len(pending), "documents_version": version}
    told = "ingest: store %s, documents version %d; %d of %d %s files are new (%s)"
    named = (store.location, version, len(pending), len(files), source.format, quantity(size, "bytes"))
    _log.info(told, *named, extra=values)
    if not pending:
        return Ingested(0, len(files), 0, 0)
    if source.limit:
        # A file cut off by the limit is never marked as read: only its records tell whether there is anything to do. The
        # limit also counts records of files that are already read.
        again = [file for file in files if _key(file) not in otherwise]
        rows = read_files(spark, config, source, again, _next_unit(store))
        return Ingested(0, len(files) - len(pending), 0, 0) + _ingest_if_new(
            store, config, rows, pending, version, siblings
        )
    done = Ingested(len(pending), len(files) - len(pending), 0, 0)
    with (
        Progress("ingest", size, "bytes", running=share_of_tasks(spark), fields={"store": store.location}) as progress,
        hold(store, "ingest") as lease,
    ):
        fence(store, lease, _TABLES)
        for batch in batches(pending, config.ingest.batch_bytes):
            progress.expect(sum(file.size for file in batch))
            rows = read_files(spark, config, source, batch, _next_unit(store))
            with cached(rows) as read:
                written = _write(store, lease, config, read, batch, siblings)
            done += written
            size, note = sum(file.size for file in batch), f"{done.documents:,} documents so far"
            progress.advance(size, note, table="documents", rows=written.documents)
    return done


def _ingest_source(store: Store, config: Config, source: InputConfig) -> Ingested:
    """All rows of a Spark source, a batch of its files at a time."""
    done = Ingested(0, 0, 0, 0)
    parts = source_batches(store.spark, source, config.ingest.batch_bytes)
    values = {"store": store.location, "batches": len(parts)}
    _log.info("ingest: store %s, %d batches of a %s source", store.location, len(parts), source.format, extra=values)
    for part in parts:
        version = store.version("documents")
        rows = read_source(part, source, _next_unit(store), config.ingest.unit_bytes, config.limits)
        done += _ingest_if_new(store, config, rows, [], version, {})
    return done


def _ingest_if_new(
    store: Store, config: Config, rows: DataFrame, files: list[FileInfo], version: int, siblings: Siblings
) -> Ingested:
    """Write the rows that the store does not have yet; if there are none, take no lease and write no version.

    ``version``: the version of ``documents`` after which the units of ``rows`` are numbered.
    """
    _log.info("ingest: reading the source and comparing it with the store", extra={"store": store.location})
    with cached(rows) as read:
        with compared(store, read, store.read("documents", version), siblings) as found:
            arrived, _, repeated = split_known(found.good, found.firsts)
            bad = _new_quarantine(store, found.unreadable.unionByName(duplicates(repeated)))
            ended = {row["file"] for row in read.where("kind = 'end'").select("file").collect()}
            if arrived.isEmpty() and bad.isEmpty() and not ended & {file.name for file in files}:
                return Ingested(0, 0, 0, 0)
        with hold(store, "ingest") as lease:
            # Take the lease before checking: earlier commits are seen, and no others follow.
            fence(store, lease, _TABLES)
            if changes(store, "documents", version):
                raise LeaseError("another ingest has just written documents; run the command again")
            return _write(store, lease, config, read, files, siblings)


def _input(config: Config) -> InputConfig:
    if config.input is None:
        raise ConfigError("input is not set: set input.path=… and input.format=…")
    return config.input


_Key = tuple[str, int, int]
"""Path, size and time of a file in microseconds."""


def _known_files(store: Store, format_name: str, reading: str) -> tuple[set[_Key], set[_Key]]:
    """The files to skip: they gave documents, or were read in this way before; and those of them read in another way.

    A file that gave no document with another format, other columns or other limits is read again.
    """
    documents = F.coalesce("documents", F.col("records") - F.col("quarantined"))
    # Rows of older packages do not record how they were read: assume this way if they gave documents.
    same = F.coalesce(F.col("reading") == reading, (F.col("format") == format_name) & (documents > 0))
    rows = store.read("files").where((documents > 0) | same)
    found = rows.select("path", "size", F.unix_micros("modified_at").alias("modified"), same.alias("same")).collect()
    keys = {
        (row["path"], row["size"], row["modified"]): row["same"] for row in sorted(found, key=lambda row: row["same"])
    }
    return set(keys), {key for key, same in keys.items() if not same}


def _key(file: FileInfo) -> _Key:
    # Not timestamp() * 1e6: a float holds no microseconds of this century exactly.
    seconds = int(file.modified_at.replace(microsecond=0).timestamp())
    return file.name, file.size, seconds * 1_000_000 + file.modified_at.microsecond


def _next_unit(store: Store) -> int:
    # The number of a completely forgotten unit is not used again: refinements cover units by their numbers.
    # Two queries, because Delta can answer each from its log alone.
    newest = [store.read("documents").agg(F.max("unit")), store.read("refinements").agg(F.max("last_unit"))]
    return max(-1 if row is None or row[0] is None else int(row[0]) for row in (rows.first() for rows in newest)) + 1


def read_files(
    spark: SparkSession, config: Config, source: InputConfig, files: list[FileInfo], first: int
) -> DataFrame:
    """The files' records in the columns of ``READ``, in units from number ``first`` on; up to the input's limit."""
    plans = plan_units(files, first, config.ingest.unit_bytes)
    # A limit counts records over all files in order: only a single task can do that.
    tasks = 1 if source.limit else max(cores(spark), sum(map(text_bytes, files)) // _TASK_BYTES)
    groups = group_tasks(plans, tasks)
    sizes = (config.ingest.unit_bytes, source.limit, config.limits)
    task = read_task(groups, source.format, source.columns, source.extract, source.source, *sizes)
    return spark.range(0, len(groups), 1, len(groups)).mapInArrow(task, from_arrow_schema(READ))


def _write(
    store: Store, lease: Lease, config: Config, read: DataFrame, files: list[FileInfo], siblings: Siblings
) -> Ingested:
    """Commit documents, then quarantine, then files: after a crash between them the next run completes the rest.

    Raises ``ConservationError`` before anything is committed if a record got lost.
    """
    purpose = Purpose("ingest")
    # Read at a fixed version: an append that reads the table it writes to would conflict with every other append.
    with compared(store, read, store.read("documents", store.version("documents")), siblings) as found:
        arrived, bad = found.good, found.unreadable
        there = None
        if found.again:
            arrived, there, repeated = split_known(found.good, found.firsts)
            bad = bad.unionByName(duplicates(repeated))
        fates: dict[Fate, DataFrame] = {"arrived": arrived, "quarantined": bad} if found.again or found.forgets else {}
        accounts = account(read, fates if there is None else {**fates, "there": there})
        quarantined = sum(one.quarantined for one in accounts.values())
        # Computed from the tables before the documents are appended.
        with cached(_new_quarantine(store, bad)) if quarantined else nullcontext() as new:
            n_new = 0 if new is None else new.count()
            # An empty append would also create a version.
            some = any(one.arrived for one in accounts.values())
            documents = commit(store, lease, "documents", arrived, purpose).rows if some else 0
            check_committed(accounts, documents)
            if new is not None and n_new:
                commit(store, lease, "quarantine", new, purpose)
    log_accounts(store.location, accounts)
    source = _input(config)
    rows = file_rows(files, accounts, source.format, source.reading(config.limits), datetime.now(UTC))
    if rows:
        commit(store, lease, "files", store.spark.createDataFrame(rows, spark_schema("files")), purpose)
    return Ingested(0, 0, documents, n_new, dict(passed_over(accounts)))


def _new_quarantine(store: Store, bad: DataFrame) -> DataFrame:
    """Rows that ``quarantine`` does not have yet, so that an interrupted run is completed without repeating rows."""
    there = store.read("quarantine", store.version("quarantine"))
    old = there.where("stage = 'ingest'").select("file", "position", "error_class", "doc_id")
    same = F.lit(True)
    for name in ("file", "position", "error_class", "doc_id"):
        same = same & bad[name].eqNullSafe(old[name])
    rows = bad.join(old, same, "left_anti")
    return rows.select(
        "*",
        F.lit("ingest").alias("stage"),
        F.lit(None).cast("string").alias("refinement"),
        F.current_timestamp().alias("quarantined_at"),
    )
