"""What a child process does in one Spark session: ``python lane_steps.py ANSWERS.json < STEPS.json``.

A step is ``{"run": [verb, argument, …]}``, answered by the exit code and what was printed, or ``{"read": STORE}``, answered by
the rows of its tables (``same_rows.read_all``).
"""

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from same_rows import read_all
from spark_fixtures import SESSION

from prox_spark.cli import main
from prox_spark.session import get_session


def done(step: dict[str, Any]) -> dict[str, Any]:
    """The answer to one step."""
    if "read" in step:
        return read_all(get_session(), Path(step["read"]))
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(step["run"])
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


if __name__ == "__main__":
    get_session({**SESSION, "spark.driver.memory": "1g"})
    Path(sys.argv[1]).write_text(json.dumps([done(step) for step in json.load(sys.stdin)]))
