"""Compile the n-grams' kernels into numba's cache: ``python -m prox_spark.selection.warm``, as in ``execution.warm``."""

import numpy as np

from prox_spark.selection.ngrams import BUCKETS, add_counts, weigh


def warm() -> None:
    """Run both kernels once over one small document."""
    add_counts(["A page of one line."], np.zeros(BUCKETS, np.int64))
    weigh(["A page of one line."], np.zeros(BUCKETS))


if __name__ == "__main__":
    warm()
