"""A time limit for the Spark jobs of a request: they are stopped when it ends, or when the client has disconnected."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

from prox_spark.errors import DeadlineError
from prox_spark.spark_api import add_tag, remove_tag, stop_tagged

_LOOK = 0.25
"""Seconds between two checks of the clock and the connection."""


@contextmanager
def limited(spark: SparkSession, seconds: float, gone: Callable[[], bool]) -> Iterator[None]:
    """Stop this thread's Spark jobs after ``seconds``, or when ``gone`` says that the client has disconnected.

    Raises ``DeadlineError`` after that time, ``ConnectionAbortedError`` if the client is gone.
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
                # Repeated, because a thread that is still planning starts its job after the first call.
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
