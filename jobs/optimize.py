"""spark-submit entry point of `prox-spark optimize`."""

import sys

from prox_spark.cli import main

if __name__ == "__main__":
    sys.exit(main(["optimize", *sys.argv[1:]]))
