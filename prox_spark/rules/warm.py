"""Compile the rules into numba's cache: ``python -m prox_spark.rules.warm``, once for a machine, as in ``execution.warm``."""

from prox_spark.rules.programs import document_programs, line_programs


def warm() -> None:
    """Run both kernels once over one small document."""
    document_programs(["A page of one line."], ["gopher_few_words"])
    line_programs(["A page of one line."], ["c4_few_words"])


if __name__ == "__main__":
    warm()
