"""spark-submit entry point of `prox-spark ingest`."""

import sys

from prox_spark.cli import main

if __name__ == "__main__":
    sys.exit(main(["ingest", *sys.argv[1:]]))
