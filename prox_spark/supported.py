"""Which versions of Spark, Delta, Scala, Python, Java and vLLM go together. ``doctor``, messages and documents name these."""

import re
from dataclasses import dataclass

from prox_spark.suggest import either

JAVA = (17, 21)
"""Major versions of Java, with every Spark listed here."""

PYTHON = ("3.11", "3.12", "3.13")
"""Versions of Python; not every Spark supports the last one."""

VLLM = ("0.32", "0.32")
"""The oldest and the newest version of vLLM with which the engine's tests passed: ``make test-vllm VLLM=0.32.0``."""


@dataclass(frozen=True)
class Supported:
    """Versions compatible with one version of Spark: Delta and Python (major and minor), and Spark's Scala."""

    delta: tuple[str, ...]
    scala: str
    python: tuple[str, ...]
    install: tuple[str, str]
    """Requirements of PySpark and delta-spark on one machine."""


SPARKS = {
    # Its pickler does not support Python 3.13.
    "3.5": Supported(("3.3",), "2.12", ("3.11", "3.12"), ("pyspark>=3.5,<3.6", "delta-spark>=3.3,<3.4")),
    "4.0": Supported(("4.0",), "2.13", PYTHON, ("pyspark>=4.0,<4.1", "delta-spark>=4.0,<4.1")),
    "4.1": Supported(("4.2", "4.4"), "2.13", PYTHON, ("pyspark>=4.1,<4.2", "delta-spark==4.4.0")),
    "4.2": Supported(("4.4",), "2.13", PYTHON, ("pyspark>=4.2,<4.3", "delta-spark==4.4.0")),
}
"""By Spark's major and minor version."""

PROTOCOL = {"minReaderVersion": 1, "minWriterVersion": 2}
"""The protocol of every Delta table of a store: without table features, so each of these versions reads and writes it."""


def minor(version: str) -> str:
    """Major and minor version: ``4.1`` of ``4.1.4`` and of ``4.1.1-amzn-0``."""
    return ".".join(version.split(".")[:2])


def what_to_do(spark: str, delta: str | None, python: str) -> str:
    """What to change if these versions are incompatible; empty if they are compatible.

    ``delta`` is that of the package delta-spark; None if it is not installed, as on clusters, which bring Delta's jars.
    """
    goes = SPARKS.get(minor(spark))
    if goes is None:
        one = SPARKS["4.1"].install
        return (
            f"Spark {either(SPARKS)} is supported: on one machine pip install '{one[0]}' '{one[1]}', on a cluster "
            "choose a release that has one of them (docs/platforms.md in the repository)"
        )
    if minor(python) not in goes.python:
        return f"Spark {minor(spark)} is supported with Python {either(goes.python)}"
    if delta is not None and minor(delta) not in goes.delta:
        return f"Spark {minor(spark)} goes with Delta {either(goes.delta)}: pip install '{goes.install[1]}'"
    return ""


def vllm_range() -> str:
    """The requirement of vLLM that keeps to tested versions: ``>=0.32,<0.33``."""
    major, newest = map(int, VLLM[1].split("."))
    return f">={VLLM[0]},<{major}.{newest + 1}"


def what_to_do_about_vllm(version: str) -> str:
    """What to change where this version of vLLM was not tested; empty where it was, or is between two that were."""
    found = re.match(r"(\d+)\.(\d+)", version)
    oldest, newest = (tuple(map(int, one.split("."))) for one in VLLM)
    if found and oldest <= tuple(map(int, found.groups())) <= newest:
        return ""
    return f"not tested with this version: pip install 'vllm{vllm_range()}'"
