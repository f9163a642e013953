"""Random documents and programs through ``execute`` and ``execute_batch``, for as long as one likes.

    python tests/unit/execution/fuzz.py --minutes 5

Prints the seed and the case where the two differ, and ends with 1; otherwise says how many cases agreed.
"""

import argparse
import sys
import time
from random import Random

from cases import arrays, expected, found, random_case, random_settings

from prox_spark.execution import Mode, execute_batch

MODES: tuple[Mode, ...] = ("strict", "compat")


def check(seed: int, mode: Mode, n_cases: int = 300) -> str | None:
    """A description of the first difference among the cases of a seed."""
    rng = Random(seed)
    settings = random_settings(rng)
    cases = [random_case(rng, mode) for _ in range(n_cases)]
    texts, programs = arrays(cases)
    for case, got in zip(cases, found(execute_batch(texts, programs, mode, settings=settings)), strict=True):
        want = expected(case, mode, settings)
        if got != want:
            return f"seed {seed}, {mode}, {settings}\n{case}\nexecute: {want}\nexecute_batch: {got}"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=int(time.time()) * 1000)
    arguments = parser.parse_args()
    deadline, seed = time.monotonic() + 60 * arguments.minutes, arguments.seed
    while time.monotonic() < deadline:
        for mode in MODES:
            difference = check(seed, mode)
            if difference is not None:
                print(difference)
                return 1
        seed += 1
    print(f"{300 * len(MODES) * (seed - arguments.seed)} cases agreed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
