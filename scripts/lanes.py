"""Print the versions of Spark that have a lane (scripts/lane.sh) and run with this Python, in order."""

import platform
from pathlib import Path

from prox_spark.supported import SPARKS, minor

PINS = Path(__file__).resolve().parents[1] / "constraints"


def lanes(python: str) -> list[str]:
    """Supported versions of Spark with pins of their own that run with this version of Python."""
    return [
        spark
        for spark, goes in SPARKS.items()
        if minor(python) in goes.python and (PINS / f"spark-{spark}.txt").is_file()
    ]


if __name__ == "__main__":
    print(*lanes(platform.python_version()))
