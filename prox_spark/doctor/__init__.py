"""``doctor``: checks whether everything that a refinement needs is available, with advice."""

from prox_spark.doctor.check import Check
from prox_spark.doctor.examine import examine

__all__ = ["Check", "examine"]
