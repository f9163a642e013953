"""spark-submit entry point of `prox-spark estimate`."""

import sys

from prox_spark.cli import main

if __name__ == "__main__":
    sys.exit(main(["estimate", *sys.argv[1:]]))
