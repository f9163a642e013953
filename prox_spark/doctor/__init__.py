"""``doctor``: is everything here that a refinement needs, and what is to be done where it is not."""

from prox_spark.doctor.check import Check
from prox_spark.doctor.examine import examine

__all__ = ["Check", "examine"]
