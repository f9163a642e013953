"""spark-submit entry point of `prox-spark execute`."""

import sys

from prox_spark.cli import main

if __name__ == "__main__":
    sys.exit(main(["execute", *sys.argv[1:]]))
