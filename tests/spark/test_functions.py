"""Programs in a DataFrame of one's own: the docstrings' examples, scores, nulls, SQL, a refiner that cannot be used."""

import doctest
import json
from typing import Any

import pytest

from prox_spark import functions
from prox_spark.config import load_config
from prox_spark.errors import ConfigError, RefinerError
from prox_spark.functions import apply_program, generate_programs

PROSE = "The mill stands still, and the tide turns twice a day."


def test_the_examples_of_the_docstrings_run(spark: Any) -> None:
    found = doctest.testmod(functions, extraglobs={"spark": spark})
    assert found.attempted > 5
    assert found.failed == 0


def test_scores_decide_at_the_threshold_and_null_stays_null(spark: Any) -> None:
    engine = {"kind": "scripted", "answers": {"mill": [0.1, 0.9, 0.6]}}
    document = {"kind": "scripted", "answers": {"mill": 0.8, "junk": 0.1}, "error_on": "breaks"}
    config = load_config(
        None, ["store=unused", f"chunk.engine={json.dumps(engine)}", f"document.engine={json.dumps(document)}"]
    )
    rows = [(0, f"Home\n{PROSE}\nShare this"), (1, None), (2, "some junk"), (3, ""), (4, "this one breaks")]
    pages = spark.createDataFrame(rows, "n int, text string").repartition(1)
    made = pages.withColumn("program", generate_programs(config)("text"))
    refined = made.select(
        "n",
        apply_program("text", "program", drop_line_below=0.5, max_removed_share=1.0, min_words=0).alias("gentle"),
        apply_program("text", "program", drop_line_below=0.7, max_removed_share=1.0, min_words=0).alias("strict"),
    )
    found = {row["n"]: (row["gentle"], row["strict"]) for row in refined.collect()}
    assert found[0] == (f"{PROSE}\nShare this", PROSE)
    assert found[1] == (None, None)
    assert found[2] == ("", "")
    assert found[4] == ("this one breaks", "this one breaks")


def test_compat_and_programs_that_are_strings(spark: Any) -> None:
    pages = spark.createDataFrame([(f"Home\n{PROSE}\n{PROSE}", "remove_lines(start=0, end=0)")], ["text", "program"])
    refined = pages.select(apply_program("text", "program", "compat")).first()[0]
    assert refined == f"{PROSE}\n{PROSE}"


def test_what_cannot_be_used_is_told_before_any_row() -> None:
    with pytest.raises(RefinerError, match="nowhere"):
        generate_programs(
            load_config(None, ["store=s", "chunk.engine.kind=transformers", "chunk.engine.model=nowhere"])
        )
    with pytest.raises(ConfigError, match="compat mode has no settings"):
        apply_program("text", "program", "compat", min_words=0)
    with pytest.raises(ConfigError, match="compat, which numbers lines through the document"):
        generate_programs(
            load_config(
                None,
                [
                    "store=s",
                    "chunk.engine.kind=transformers",
                    "chunk.engine.model=web-programs-1",
                    "execution.mode=compat",
                ],
            )
        )
    with pytest.raises(ConfigError, match="max_removed_share"):
        apply_program("text", "program", max_removed_share=2.0)
