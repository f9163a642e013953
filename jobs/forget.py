"""spark-submit entry point of `prox-spark forget`."""

import sys

from prox_spark.cli import main

if __name__ == "__main__":
    sys.exit(main(["forget", *sys.argv[1:]]))
