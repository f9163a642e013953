"""spark-submit entry point of `prox-spark report`."""

import sys

from prox_spark.cli import main

if __name__ == "__main__":
    sys.exit(main(["report", *sys.argv[1:]]))
