"""spark-submit entry point of `prox-spark browse`."""

import sys

from prox_spark.cli import main

if __name__ == "__main__":
    sys.exit(main(["browse", *sys.argv[1:]]))
