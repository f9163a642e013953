"""Quality of the shipped line scorer on labelled pages, measured on the tables of a complete refinement.

Refines each file of labelled pages (``doc_id``, ``raw_content``, ``gold_keep``) through the engine, without document stage,
and prints the F1 of kept words for the refinement and for keeping everything; ``above_keeping_everything`` is the 95 %
interval of the difference (bootstrap over pages). ``tokens_per_second`` is the chunk stage's rate on all of them, including
Spark's work and the commits, without the engine's start (the self-test starts the engine before). By
default the files are those of ``shared/gold`` beside the repository.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from timing import SHARED, arguments, report

import prox_spark
from prox_spark.session import get_session
from prox_spark.versions.sql import query

GOLD = SHARED / "gold"
Words = Any
"""An array of three columns: see ``words``."""
_DRAWS = 2000
FILES = ["dev.jsonl.zst", *(f"views/{view}_dev.jsonl.zst" for view in ("c4", "dclm", "fineweb"))]


def records(path: Path) -> list[dict[str, Any]]:
    with zstandard.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def words(pages: list[dict[str, Any]], removed: dict[str, set[int]], dropped: set[str]) -> Words:
    """A row for each page: words correctly kept, words to keep, words kept."""
    rows = []
    for page in pages:
        gone = removed.get(page["doc_id"], set())
        weight = np.array([len(line.split()) for line in page["raw_content"].split("\n")])
        keep = np.asarray(page["gold_keep"])
        stays = np.array([page["doc_id"] not in dropped and number not in gone for number in range(len(keep))])
        rows.append(((weight * keep * stays).sum(), (weight * keep).sum(), (weight * stays).sum()))
    return np.array(rows, dtype=np.float64)


def f1(rows: Words) -> float:
    right, true, said = rows.sum(axis=0)
    return float(2 * right / (true + said))


def spread(rows: Words, others: Words) -> list[float]:
    """The 95 % interval of the difference of F1 over bootstrap samples of the pages, drawn with replacement."""
    generator = np.random.default_rng(0)
    draws = generator.integers(0, len(rows), (_DRAWS, len(rows)))
    return [float(end) for end in np.percentile([f1(rows[draw]) - f1(others[draw]) for draw in draws], [2.5, 97.5])]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--files", nargs="*", default=[str(GOLD / name) for name in FILES])
    parser.add_argument("--model", default="web-lines-2")
    parser.add_argument("--engine", default="vllm")
    parser.add_argument("--threshold", type=float, nargs="*", default=[0.2, 0.35])
    options = parser.parse_args()
    spark = get_session()
    found: dict[str, Any] = {}
    spreads: dict[str, dict[str, list[float]]] = {}
    tokens, seconds = 0, 0.0
    with tempfile.TemporaryDirectory() as scratch:
        for file in map(Path, options.files):
            base = [f"store={scratch}/{file.name.split('.')[0]}", f"input.path={file}", "input.format=json"]
            base += ["input.columns.text=raw_content", "document=null", "execution.max_removed_share=1.0"]
            base += [f"chunk.engine.kind={options.engine}", f"chunk.engine.model={options.model}"]
            pages = records(file)
            config = prox_spark.load_config(None, base)
            prox_spark.ingest(spark, config)
            (stage,) = prox_spark.generate(spark, config)
            tokens, seconds = tokens + stage.prompt_tokens, seconds + stage.seconds
            everything = words(pages, {}, set())
            scores: dict[str, float] = {"keep_everything": f1(everything)}
            spreads[file.name] = {}
            for threshold in options.threshold:
                name = f"at-{threshold}"
                run = prox_spark.load_config(
                    None, [*base, f"refinement={name}", f"execution.drop_line_below={threshold}"]
                )
                prox_spark.execute(spark, run)
                removed: dict[str, set[int]] = {}
                for row in query(
                    spark, config.store, f"SELECT doc_id, line_number FROM `dropped_lines@{name}`"
                ).collect():
                    removed.setdefault(row["doc_id"], set()).add(row["line_number"])
                gone = query(spark, config.store, f"SELECT doc_id FROM `dropped_documents@{name}`").collect()
                rows = words(pages, removed, {row["doc_id"] for row in gone})
                scores[str(threshold)] = f1(rows)
                spreads[file.name][str(threshold)] = spread(rows, everything)
            found[file.name] = scores
    report(
        {
            "benchmark": "web_lines",
            "f1": found,
            "above_keeping_everything": spreads,
            "tokens_per_second": tokens / seconds,
            "engine": options.engine,
        },
        options.output,
    )


if __name__ == "__main__":
    main()
