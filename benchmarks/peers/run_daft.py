# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["daft==0.7.26"]
# ///
"""Daft ships no rules: five of Gopher's document rules as its column expressions, the reason beside each page."""

import json
import sys
from importlib.metadata import version

import daft
from daft import col, lit
from daft.functions import regexp_count, when

HOLDS = {"log": "a column of reasons, where the query keeps it", "versions": "none", "resumes": "no"}


def main():
    _, source, target = sys.argv[1:]
    pages = daft.read_json(f"{source}/pages/*.json.gz")
    pages = pages.with_column("words", regexp_count(col("text"), r"\S+"))
    pages = pages.with_column("letters", regexp_count(col("text"), r"\S"))
    pages = pages.with_column("symbols", regexp_count(col("text"), r"#|…|\.\.\."))
    pages = pages.with_column("alphabetic", regexp_count(col("text"), r"\S*[A-Za-z]\S*"))
    pages = pages.with_column("stops", regexp_count(col("text"), r"\b(?:the|be|to|of|and|that|have|with)\b"))
    words = col("words")
    reason = (
        when((words < 50) | (words > 100_000), lit("words"))
        .when((col("letters") / words < 3) | (col("letters") / words > 10), lit("word_length"))
        .when(col("symbols") / words > 0.1, lit("symbols"))
        .when(col("alphabetic") / words < 0.8, lit("alphabetic"))
        .when(col("stops") < 2, lit("stop_words"))
        .otherwise(lit("kept"))
    )
    pages.with_column("reason", reason).select("id", "text", "reason").write_parquet(target)
    print(json.dumps({"version": version("daft"), **HOLDS}))


if __name__ == "__main__":
    main()
