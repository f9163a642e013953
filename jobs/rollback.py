"""spark-submit entry point of `prox-spark rollback`."""

import sys

from prox_spark.cli import main

if __name__ == "__main__":
    sys.exit(main(["rollback", *sys.argv[1:]]))
