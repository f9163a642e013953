"""spark-submit entry point of `prox-spark generate`."""

import sys

from prox_spark.cli import main

if __name__ == "__main__":
    sys.exit(main(["generate", *sys.argv[1:]]))
