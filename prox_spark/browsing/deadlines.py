"""A limit of time for what Spark does for one request: jobs are stopped at its end, or when nobody waits for them any more."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

from prox_spark.errors import DeadlineError
from prox_spark.spark_api import add_tag, remove_tag, stop_tagged

_LOOK = 0.25
"""Seconds between two looks at the clock and at the connection."""


@contextmanager
def limited(spark: SparkSession, seconds: float, gone: Callable[[], bool]) -> Iterator[None]:
    """Stop this thread's Spark jobs after ``seconds``, or once ``gone`` says that nobody waits for the answer.

    Raises ``DeadlineError`` after that time, ``ConnectionAbortedError`` if nobody waits.
    """
    tag = f"prox-spark-browse-{uuid.uuid4().hex[:12]}"
    finished = threading.Event()
    stopped: list[Exception] = []

    def watch() -> None:
        end = time.monotonic() + seconds
        while not finished.wait(_LOOK):
            if not stopped and gone():
                stopped.append(ConnectionAbortedError("the browser waits no longer"))
            elif not stopped and time.monotonic() > end:
                stopped.append(
                    DeadlineError(
                        f"stopped after {seconds:g} s; narrow the question, or start `prox-spark browse` with a longer --deadline"
                    )
                )
            if stopped:
                # A thread that was still planning starts its job after the first of these.
                stop_tagged(spark, tag)

    watcher = threading.Thread(target=watch, name=tag, daemon=True)
    add_tag(spark, tag)
    watcher.start()
    try:
        yield
    except Exception as error:
        if stopped:
            raise stopped[0] from error
        raise
    finally:
        finished.set()
        watcher.join()
        remove_tag(spark, tag)
