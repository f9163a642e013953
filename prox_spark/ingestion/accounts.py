"""Accounts of files: the fate of every record is counted, checked, and stored in ``files``."""

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from prox_spark.corpora.files import FileInfo
from prox_spark.errors import ConservationError

_log = logging.getLogger(__name__)

_REASONS_SHOWN = 20

Fate = Literal["arrived", "there", "quarantined"]
"""``arrived``: a new document; ``there``: a document that the store already has from the same place."""

_BY_KIND: dict[str, Fate] = {"document": "arrived", "unreadable": "quarantined"}
"""Fates as the reader reports them, valid where no id is a duplicate and none was forgotten."""


@dataclass(frozen=True)
class Account:
    """One file: records that were ``read`` = ``documents`` + ``quarantined``; ``passed`` are further ones, by reason.

    ``arrived`` are the documents that the store did not have. ``complete``: the file was read to its end.
    """

    read: int = 0
    arrived: int = 0
    there: int = 0
    quarantined: int = 0
    complete: bool = False
    passed: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def documents(self) -> int:
        """The records that are documents of the store."""
        return self.arrived + self.there


def account(read: DataFrame, fates: Mapping[Fate, DataFrame]) -> dict[str, Account]:
    """The account of each file of ``read`` (columns of ``ingestion.task.READ``), one row of ``fates`` for each record.

    Without ``fates``, every document arrives and every other record is quarantined: then one pass over ``read`` is enough.
    Raises ``ConservationError`` for a file whose records did not all become a document or a row of quarantine, or whose
    reader counted a different number of records.
    """
    together = read.where("kind != 'end'").select("file", F.col("kind").alias("fate"))
    for fate, rows in fates.items():
        together = together.unionAll(rows.select("file", F.lit(fate).alias("fate")))
    counts: dict[str, Counter[str]] = {}
    for row in together.groupBy("file", "fate").agg(F.count("*").alias("n")).collect():
        of_file = counts.setdefault(row["file"], Counter())
        if row["fate"] in _BY_KIND:
            of_file["read"] += row["n"]
            if not fates:
                of_file[_BY_KIND[row["fate"]]] += row["n"]
        else:
            of_file[row["fate"]] = row["n"]
    ends = {row["file"]: row for row in read.where("kind = 'end'").select("file", "position", "metadata").collect()}
    found = {file: _account(counts.get(file, Counter()), ends.get(file)) for file in counts.keys() | ends.keys()}
    for file, one in found.items():
        _check(file, one, ends.get(file))
    return found


def _account(counts: Counter[str], end: Any) -> Account:
    more = {} if end is None else end["metadata"] or {}
    passed, left_out = (json.loads(more.get(name, "{}")) for name in ("passed", "left_out"))
    return Account(**dict(counts), complete=end is not None, passed=passed, left_out=left_out)


def _check(file: str, one: Account, end: Any) -> None:
    out = one.documents + one.quarantined
    counted = one.read if end is None else end["position"]
    if not one.read == out == counted:
        raise ConservationError(
            f"ingest: {file!r} has {counted} records, {one.read} were read, {one.documents} became documents and "
            f"{one.quarantined} rows of quarantine; nothing of this batch was committed"
        )


def check_committed(accounts: Mapping[str, Account], documents: int) -> None:
    """Raise ``ConservationError`` unless the commit wrote as many documents as arrived."""
    arrived = sum(one.arrived for one in accounts.values())
    if documents != arrived:
        raise ConservationError(
            f"ingest: {arrived} documents arrived and {documents} were committed; their files are not marked as read"
        )


def file_rows(
    files: Sequence[FileInfo], accounts: Mapping[str, Account], format_name: str, reading: str, now: datetime
) -> list[tuple[Any, ...]]:
    """Rows of ``files`` for the files that were read to their end."""
    found = ((file, accounts.get(file.name, Account())) for file in files)
    return [
        (
            *(file.name, file.size, file.modified_at, format_name, one.read, one.quarantined, now),
            *(one.documents, dict(one.passed), dict(one.left_out), reading),
        )
        for file, one in found
        if one.complete
    ]


def log_accounts(store: str, accounts: Mapping[str, Account]) -> None:
    """Log the skipped records by reason, and for each column left out of the metadata, in how many files."""
    left_out = Counter(f"{name}: {why}" for one in accounts.values() for name, why in one.left_out.items())
    for told, counts in (
        ("records passed over", passed_over(accounts)),
        ("times a column was left out of the metadata", left_out),
    ):
        if counts:
            # Quoted: reasons have words of the archive in them.
            shown = ", ".join(f"{reason!r} {n:,}" for reason, n in counts.most_common(_REASONS_SHOWN))
            _log.info("ingest: %d %s: %s", counts.total(), told, shown, extra={"store": store})


def passed_over(accounts: Mapping[str, Account]) -> Counter[str]:
    """The number of records that are not documents, by reason."""
    passed: Counter[str] = Counter()
    for one in accounts.values():
        passed.update(one.passed)
    return passed
