# /// script
# requires-python = ">=3.11,<3.13"
# dependencies = ["nemo-curator[text_cpu]==1.4.0"]
# ///
"""NeMo Curator: nine heuristic filters with their scores and a modifier, in one process without its executors, to lines of JSON.

Its executors start Ray, which takes more memory and time than the filters; what is measured here is the filters' own work.
"""

import gzip
import json
import sys
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from nemo_curator.stages.text.filters import ScoreFilter
from nemo_curator.stages.text.filters.heuristic import (
    BulletsFilter,
    CommonEnglishWordsFilter,
    EllipsisFilter,
    MeanWordLengthFilter,
    SymbolsToWordsFilter,
    WordCountFilter,
    WordsWithoutAlphabetsFilter,
)
from nemo_curator.stages.text.filters.heuristic.repetition import RepeatedLinesFilter, RepeatingTopNGramsFilter
from nemo_curator.stages.text.modifiers import Modify, NewlineNormalizer
from nemo_curator.tasks import DocumentBatch

HOLDS = {"log": "scores of the pages kept", "versions": "none", "resumes": "no"}
FILTERS = (
    WordCountFilter,
    MeanWordLengthFilter,
    SymbolsToWordsFilter,
    BulletsFilter,
    EllipsisFilter,
    WordsWithoutAlphabetsFilter,
    CommonEnglishWordsFilter,
    RepeatedLinesFilter,
    RepeatingTopNGramsFilter,
)


def main():
    _, source, target = sys.argv[1:]
    steps = [ScoreFilter(one(), "text", one.__name__) for one in FILTERS]
    steps.append(Modify(NewlineNormalizer(), "text"))
    for path in sorted(Path(source, "pages").iterdir()):
        with gzip.open(path, "rt") as lines:
            pages = pd.DataFrame([json.loads(line) for line in lines])
        batch = DocumentBatch(dataset_name=path.name, data=pages)
        for step in steps:
            batch = step.process(batch) if batch is not None else None
        if batch is not None:
            batch.to_pandas().to_json(f"{target}/{path.stem}l", orient="records", lines=True)
    print(json.dumps({"version": version("nemo-curator"), **HOLDS}))


if __name__ == "__main__":
    main()
