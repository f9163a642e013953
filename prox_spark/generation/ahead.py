"""Three batches in the air: the next ones' tasks begin while the last of the one before still run, and engines never wait.

With two, slots are idle while the first is committed: its last tasks took so long that the second has none left to start.
Tasks of an earlier batch go first. A batch's rows are kept on the executors' disks until they are committed, in order. Where
the platform keeps no rows, a batch is answered while it is written, one after the other.
"""

import time
import uuid
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame, Observation, SparkSession

from prox_spark.cleanup import afterwards
from prox_spark.session import in_pool
from prox_spark.spark_api import add_tag, stop_tagged
from prox_spark.tables.cache import keep
from prox_spark.tables.units import Batch

_IN_THE_AIR = 3

_STOPPING_SECONDS = 60


@dataclass(frozen=True)
class Answered:
    """Rows of a batch and, once they are there (or written, where they are not kept), what they count."""

    rows: DataFrame
    counts: Callable[[], Mapping[str, Any]]
    kept: bool

    def release(self) -> None:
        """Let go of the rows."""
        if self.kept:
            self.rows.unpersist()


def answer(rows: DataFrame, counts: Sequence[Column]) -> Answered:
    """Have the rows computed and counted, where they can be kept; returns when they are there."""
    kept = keep(rows)
    if kept is None:
        seen = Observation()
        return Answered(rows.observe(seen, *counts), lambda: seen.get, kept=False)
    try:
        row = kept.agg(*counts).first()
    except BaseException:
        # Whatever ended it, nobody else knows of the rows.
        kept.unpersist()
        raise
    assert row is not None, "an aggregate without groups has one row"
    found = row.asDict()
    return Answered(kept, lambda: found, kept=True)


def in_the_air(
    spark: SparkSession, batches: Sequence[Batch], begin: Callable[[Batch], Answered]
) -> Generator[tuple[Batch, Answered], None, None]:
    """Every batch with its rows, in order, while the next one is under way. ``close`` stops what is under way."""
    tag = f"prox-spark-{uuid.uuid4().hex[:12]}"

    def run(batch: Batch) -> Answered:
        add_tag(spark, tag)
        # Beside the default pool, in which batches are committed: where the scheduler is fair, a commit does not wait.
        with in_pool(spark, "generate"):
            return begin(batch)

    flying: deque[tuple[Batch, Future[Answered]]] = deque()
    waiting = iter(batches)
    with ThreadPoolExecutor(max_workers=_IN_THE_AIR) as pool:
        try:
            while True:
                for batch in waiting:
                    flying.append((batch, pool.submit(run, batch)))
                    if len(flying) == _IN_THE_AIR:
                        break
                if not flying:
                    return
                batch, future = flying[0]
                answered = future.result()
                flying.popleft()
                with afterwards(answered.release):
                    yield batch, answered
        except BaseException:
            # Also an interrupt, and a caller that closes this: nobody wants the rest any more.
            _stop(spark, tag, [future for _, future in flying])
            raise


def _stop(spark: SparkSession, tag: str, futures: Sequence[Future[Answered]]) -> None:
    """Stop what is under way and let go of what is done, which nobody will write."""
    for future in futures:
        future.cancel()
    deadline = time.monotonic() + _STOPPING_SECONDS
    stop_tagged(spark, tag)
    # A thread that was still planning starts its job after that.
    while wait(futures, timeout=1).not_done and time.monotonic() < deadline:
        stop_tagged(spark, tag)
    for future in futures:
        if future.done() and not future.cancelled() and future.exception() is None:
            future.result().release()
