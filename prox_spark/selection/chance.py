"""Random numbers that are the same on every cluster: they depend only on a document's id and a seed."""

import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np

from prox_spark.programs.bytes_kernels import Floats

VERSION = 1
"""Increase it when the numbers change."""


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
    # 52 bits plus a half: never 0 or 1, and exact in a double.
    return np.asarray(((bits >> np.uint64(12)).astype(np.float64) + 0.5) / 2.0**52)


def gumbel(ids: Sequence[str], seed: int) -> Floats:
    """Noise of the standard Gumbel distribution for each id. After adding it, the k largest log weights are a sample without
    replacement, in proportion to the weights (Kool et al. 2019; DSIR, section 3)."""
    return np.asarray(-np.log(-np.log(uniform(ids, seed, "dsir"))))
