"""Compile all kernels into their cache: ``python -m prox_spark.warm``, once per machine and version.

All processes of the same user load them from there. Without it the first tasks on a new machine compile, which takes
minutes. ``prox_spark.programs.compiled`` says where the cache is.
"""

from typing import get_args

import numpy as np
import pyarrow as pa

from prox_spark.duplicates.minhash import sign
from prox_spark.execution import Mode, execute_batch
from prox_spark.execution.log_hash import log_hashes
from prox_spark.programs import parse_batch
from prox_spark.rules.programs import document_programs, line_programs
from prox_spark.selection.ngrams import BUCKETS, add_counts, weigh

_PAGE = "Home\nThe page's own text."
_MODES: tuple[Mode, ...] = get_args(Mode)


def warm() -> None:
    """Run every kernel once over one small document."""
    programs = ['remove_lines(start=0, end=0)\nnormalize(source_str="own")']
    parse_batch(pa.array(programs))
    for mode in _MODES:
        done = execute_batch(pa.array([_PAGE]), pa.array([programs]), mode)
        log_hashes(done.dropped_lines, 1)
    document_programs([_PAGE], ["gopher_few_words"])
    line_programs([_PAGE], ["c4_few_words"])
    add_counts([_PAGE], np.zeros(BUCKETS, np.int64))
    weigh([_PAGE], np.zeros(BUCKETS))
    sign([_PAGE], words=5, buckets=2, hashes=2)


if __name__ == "__main__":
    warm()
