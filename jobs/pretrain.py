"""spark-submit entry point of `prox-spark pretrain`."""

import sys

from prox_spark.cli import main

if __name__ == "__main__":
    sys.exit(main(["pretrain", *sys.argv[1:]]))
