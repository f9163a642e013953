"""Compile the kernels into numba's cache: ``python -m prox_spark.execution.warm``, once for a machine.

Every process after it loads them. Without it the first tasks on a new machine compile, half a minute for each mode.
"""

import pyarrow as pa

from prox_spark.execution import execute_batch
from prox_spark.execution.log_hash import log_hashes
from prox_spark.programs import parse_batch


def warm() -> None:
    """Run every kernel once over one small document."""
    texts = pa.array(["Home\nThe page's own text."])
    parse_batch(pa.array(["remove_lines(start=0, end=0)"]))
    for mode in ("strict", "compat"):
        done = execute_batch(texts, pa.array([['remove_lines(start=0, end=0)\nnormalize(source_str="own")']]), mode)
        log_hashes(done.dropped_lines, len(texts))


if __name__ == "__main__":
    warm()
