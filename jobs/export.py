"""spark-submit entry point of `prox-spark export`."""

import sys

from prox_spark.cli import main

if __name__ == "__main__":
    sys.exit(main(["export", *sys.argv[1:]]))
