"""spark-submit entry point of `prox-spark compare`."""

import sys

from prox_spark.cli import main

if __name__ == "__main__":
    sys.exit(main(["compare", *sys.argv[1:]]))
