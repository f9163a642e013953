"""The ``prox-spark`` command. ``jobs/*.py`` call the same ``main``."""

import sys

try:
    from prox_spark.cli.main import main
except KeyboardInterrupt:
    # The import takes a second or more, in which Ctrl-C would print a stack trace.
    sys.stderr.write("prox-spark: interrupted\n")
    raise SystemExit(130) from None

__all__ = ["main"]
