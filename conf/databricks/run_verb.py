"""A task of a Databricks job: ``run_verb.py VERB [ARGUMENT]...``, the arguments of ``prox-spark``.

Databricks runs it inside a notebook's interpreter, where ``SystemExit`` is a failure whatever its code: a verb that
is done returns, one that failed raises.
"""

import os
import sys

from prox_spark.cli import main


def run(arguments: list[str]) -> None:
    """Run the verb. Raises ``RuntimeError`` where its exit code is not 0; its reason is on standard error."""
    if "DATABRICKS_RUNTIME_VERSION" in os.environ:
        from pyspark.sql import SparkSession

        # The cluster's own session becomes this script's; without it prox-spark would start a local one.
        SparkSession.builder.getOrCreate()
    code = main(arguments)
    if code:
        raise RuntimeError(f"prox-spark {arguments[0] if arguments else ''} ended with exit code {code}: see above")


if __name__ == "__main__":
    run(sys.argv[1:])
