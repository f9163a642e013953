"""Chance that is the same on every cluster: a number that follows from a document's id and a seed alone."""

import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np

from prox_spark.programs.bytes_kernels import Floats

VERSION = 1
"""Changes with the numbers."""


def uniform(ids: Sequence[str], seed: int, purpose: Literal["random", "dsir"]) -> Floats:
    """A number in (0, 1) for each id (float64), independent between ids, seeds (64 bits, signed) and purposes.

    >>> uniform(["a", "b"], 0, "random").round(4).tolist() == uniform(["a", "b"], 0, "random").round(4).tolist()
    True
    """
    salt = seed.to_bytes(8, "little", signed=True)
    base = hashlib.blake2b(digest_size=8, salt=salt, person=purpose.encode())
    digests = []
    for name in ids:
        one = base.copy()
        one.update(name.encode("utf-8", "surrogatepass"))
        digests.append(one.digest())
    bits = np.frombuffer(b"".join(digests), "<u8")
    # 52 bits and a half: neither 0 nor 1 is among them, and a double holds each exactly.
    return np.asarray(((bits >> np.uint64(12)).astype(np.float64) + 0.5) / 2.0**52)


def gumbel(ids: Sequence[str], seed: int) -> Floats:
    """Noise of the standard Gumbel distribution for each id: who has the k largest log weights after it is added was drawn
    without replacement, in proportion to the weights (Kool et al. 2019; DSIR, section 3)."""
    return np.asarray(-np.log(-np.log(uniform(ids, seed, "dsir"))))
