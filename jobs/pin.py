"""spark-submit entry point of `prox-spark pin`."""

import sys

from prox_spark.cli import main

if __name__ == "__main__":
    sys.exit(main(["pin", *sys.argv[1:]]))
