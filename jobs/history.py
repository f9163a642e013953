"""spark-submit entry point of `prox-spark history`."""

import sys

from prox_spark.cli import main

if __name__ == "__main__":
    sys.exit(main(["history", *sys.argv[1:]]))
