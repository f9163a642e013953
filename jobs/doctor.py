"""spark-submit entry point of `prox-spark doctor`."""

import sys

from prox_spark.cli import main

if __name__ == "__main__":
    sys.exit(main(["doctor", *sys.argv[1:]]))
