"""Is the refined corpus better? One small study on labelled web pages, from the pages to a table.

The same small model is trained on the same number of tokens from the raw pages, from the result of all rules, and from that
of ProX (document stage, chunk stage, both), with several seeds, and measured on clean prose that no model was trained on. It
is cross-fitted: the pages are divided by site into two halves, each with its own store, and each half is cleaned by a line
scorer that was trained on the other half's labels. (The document scorer was trained on other documents.)

All results are in ``--folder``; existing ones are not computed again, so an interrupted study continues (other options need
another folder). ``study.json`` contains no times: with the same options, seeds, threads and versions of torch it is identical
to the last digit. ``study.md`` and ``study.svg`` are made from it. By default the files are those of ``shared/gold`` beside the
repository.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from pyspark.sql import SparkSession
from timing import SHARED, arguments, report

import prox_spark
from prox_spark.adapt.adapt import adapt
from prox_spark.adapt.tokenizer import write_tokenizer
from prox_spark.corpora.labels import read_records
from prox_spark.costs.compute import Point, Stage, Trained, account, curve_of, refining_flops
from prox_spark.costs.refining import refinement_stages
from prox_spark.evaluation.models import points
from prox_spark.evaluation.pictures import draw_compute
from prox_spark.pretraining.pretrain import pretrain
from prox_spark.pretraining.record import read_record
from prox_spark.session import get_session

GOLD = SHARED / "gold"
HALVES = ("a", "b")
RAW = "raw"
# `both` comes before `chunk`, so that its chunk stage only processes kept documents, as its compute assumes.
ARMS = (RAW, "rules", "document", "both", "chunk")
_END, _VOCABULARY = "<|end|>", 4096
# Best F1 on whole pages, from the cards of the shipped refiners; and documents that are almost certainly junk.
_LINES_BELOW, _DOCUMENTS_BELOW = 0.35, 0.1


def other(half: str) -> str:
    return HALVES[1 - HALVES.index(half)]


def divide(files: Sequence[Path], folder: Path, limit: int | None) -> None:
    """Split the labelled pages by a hash of their site into one file per half, unless the files exist."""
    halves: dict[str, list[str]] = {half: [] for half in HALVES}
    for record, _ in chain.from_iterable(map(read_records, files)):
        half = HALVES[hashlib.sha256(record["site"].encode()).digest()[0] % 2]
        halves[half].append(json.dumps({key: record[key] for key in ("doc_id", "raw_content", "gold_keep")}))
    for half, lines in halves.items():
        # Never rewritten: stores treat a file with another time as another corpus.
        if not (target := folder / f"half-{half}.jsonl").exists():
            written = target.with_suffix(".partial")
            written.write_text("\n".join(lines[:limit]) + "\n")
            written.rename(target)


def train_refiners(folder: Path, options: Any) -> None:
    """A line scorer from each half, and a document scorer from documents that are not in the study; existing ones are kept."""
    for half in HALVES:
        if not (folder / f"lines-{half}").exists():
            told = [
                f"adapt.name=lines-{half}",
                f"adapt.output={folder}/lines-{half}",
                "adapt.card=Made for a study.",
                f"adapt.epochs={options.epochs}",
                "adapt.evaluations=2",
            ]
            told += [f"adapt.train=[{folder}/half-{half}.jsonl]", f"adapt.validation=[{options.validation}]"]
            learn("web-lines", told)
    if not (folder / "documents").exists():
        told = ["adapt.name=documents", f"adapt.output={folder}/documents", "adapt.card=Made for a study."]
        told += [f"adapt.train=[{GOLD}/doclevel_dclm_train.jsonl.zst]"]
        told += [f"adapt.validation=[{GOLD}/doclevel_dclm_dev.jsonl.zst]"]
        learn("web-documents", told)


def learn(recipe: str, told: list[str]) -> None:
    settings = prox_spark.load_config(recipe, told).adapt
    assert settings is not None, "the recipe has one"
    adapt(settings)


def make_tokenizer(folder: Path) -> Path:
    """A vocabulary from the raw pages, with an end token; the same for every arm."""
    target = folder / "tokenizer"
    if not target.exists():
        work = folder / ".tokenizer"
        work.mkdir(exist_ok=True)
        records = chain.from_iterable(read_records(folder / f"half-{half}.jsonl") for half in HALVES)
        write_tokenizer(work, (record["raw_content"] for record, _ in records), _VOCABULARY, [_END])
        settings = work / "tokenizer_config.json"
        settings.write_text(json.dumps(json.loads(settings.read_text()) | {"eos_token": _END}, indent=2) + "\n")
        work.rename(target)
    return target


def refinement_of(arm: str) -> str:
    return "rules" if arm == RAW else arm


def configuration(folder: Path, half: str, arm: str) -> list[str]:
    """Overrides that refine a half for an arm; the raw pages are those that the rules' refinement covers."""
    document, chunk = "document=null", "chunk=null"
    if arm in ("document", "both"):
        document = f"document.engine={{kind: statistics, model: {folder}/documents}}"
    if arm in ("chunk", "both"):
        chunk = f"chunk.engine={{kind: transformers, model: {folder}/lines-{other(half)}}}"
    if arm in ("rules", RAW):
        document, chunk = (f"{stage}.engine={{kind: rules, rules: [all]}}" for stage in ("document", "chunk"))
    return [
        *(f"store={folder}/store-{half}", f"refinement={refinement_of(arm)}", document, chunk),
        *(f"input.path={folder}/half-{half}.jsonl", "input.format=json", "input.columns.text=raw_content"),
        *(f"execution.drop_line_below={_LINES_BELOW}", f"execution.drop_document_below={_DOCUMENTS_BELOW}"),
        *("fuse.kept_documents=[0,1]", "fuse.kept_characters=[0,1]"),
    ]


def refine(spark: SparkSession, folder: Path, half: str, arm: str, tokenizer: Path) -> dict[str, Any]:
    """Refine a half for an arm and export its tokens; returns its kept shares and the tokens that the stages read."""
    config = prox_spark.load_config(None, configuration(folder, half, arm))
    counts = prox_spark.refine(spark, config).counts
    target = folder / "tokens" / half / arm
    told = {"tokenizer": str(tokenizer), "raw": arm == RAW}
    done = prox_spark.export(spark, config.store, refinement_of(arm), str(target), "tokens", **told)
    stages = [] if arm == RAW else refinement_stages(spark, config.store, arm)
    # The path of the folder is not a result.
    told_of = [asdict(stage) | {"refiner": Path(stage.refiner).name} for stage in stages]
    return {
        "documents": counts["documents"],
        "documents_kept": done.documents,
        "characters": counts["characters"],
        "characters_kept": done.characters,
        "tokens": done.tokens,
        "stages": told_of,
    }


def join(parts: Sequence[Path], target: Path) -> None:
    """The token shards of both halves under one manifest, one half after the other."""
    if target.exists():
        return
    work = target.with_name(f".{target.name}")
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(parts[0] / "tokenizer", work / "tokenizer")
    manifests = [json.loads((part / "manifest.json").read_text()) for part in parts]
    files = []
    for part, manifest in zip(parts, manifests, strict=True):
        for file in manifest["files"]:
            name = f"{part.parent.name}-{file['name']}"
            shutil.copy2(part / file["name"], work / name)
            files.append({"name": name, "tokens": file["tokens"]})
    sums = {key: sum(manifest[key] for manifest in manifests) for key in ("documents", "tokens")}
    first = {key: manifests[0][key] for key in ("refinement", "raw", "tokenizer", "dtype")}
    (work / "manifest.json").write_text(json.dumps(first | sums | {"files": files}, indent=2))
    work.rename(target)


def train_model(folder: Path, arm: str, seed: int, options: Any) -> dict[str, Any]:
    """Train the arm's model with a seed unless it exists; returns its record."""
    target = folder / "models" / f"{arm}-{seed}"
    if not target.exists():
        told = [f"pretrain.name={arm}-{seed}", f"pretrain.data={folder}/tokens/{arm}", f"pretrain.output={target}"]
        told += [f"pretrain.validation=[{','.join(map(str, options.prose))}]", f"pretrain.seed={seed}"]
        told += [f"pretrain.tokens={options.tokens}", "pretrain.evaluations=5"]
        settings = prox_spark.load_config("tiny", told).pretrain
        assert settings is not None, "the recipe has one"
        target.parent.mkdir(exist_ok=True)
        pretrain(settings)
    record = read_record(target)
    assert record is not None, "pretrain leaves one"
    return record


def spread(values: Sequence[float]) -> dict[str, Any]:
    return {"mean": mean(values), "deviation": stdev(values) if len(values) > 1 else None, "each": list(values)}


def summarise(arms: Mapping[str, list[dict[str, Any]]], records: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The study's results from halves and models: bits per byte with spread, differences to raw by seed, and the compute."""
    ends = {arm: [one["curve"][-1]["bits_per_byte"] for one in found] for arm, found in records.items()}
    results = {}
    for arm, halves in arms.items():
        results[arm] = {
            **{key: sum(half[key] for half in halves) for key in halves[0] if key != "stages"},
            "stages": [stage for half in halves for stage in half["stages"]],
            "bits_per_byte": spread(ends[arm]),
            "against_raw": spread([own - raw for own, raw in zip(ends[arm], ends[RAW], strict=True)]),
        }
    return {"arms": results, "compute": account([trained(arm, one, records[arm]) for arm, one in results.items()])}


def trained(arm: str, result: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> Trained:
    """An arm's models combined into one, with their mean curve."""
    stages = [Stage(**stage) for stage in result["stages"]]
    curves = zip(*(curve_of(record["curve"]) for record in records), strict=True)
    curve = tuple(Point(points[0].tokens, mean(point.bits_per_byte for point in points)) for points in curves)
    inner = records[0]["parameters"]["without_embeddings"]
    return Trained(arm, inner, records[0]["tokens"], result["tokens"], curve, refining_flops(stages))


def table(study: Mapping[str, Any]) -> str:
    """The study as Markdown."""
    rows = [
        "| trained on | documents | characters | tokens | bits per byte | against raw, by seed | refining / training FLOPs |",
        "|---|---|---|---|---|---|---|",
    ]
    for arm, compute in zip(study["arms"].items(), study["compute"], strict=True):
        name, found = arm
        bits, change = found["bits_per_byte"], found["against_raw"]
        cost = compute["charged_refining_flops"] / compute["training_flops"]
        shares = [found[f"{what}_kept"] / found[what] for what in ("documents", "characters")]
        against = "" if name == RAW else told(change, "+")
        cells = (f"{shares[0]:.0%}", f"{shares[1]:.0%}", f"{found['tokens']:,}", told(bits), against, f"{cost:.2f}")
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def told(values: Mapping[str, Any], sign: str = "") -> str:
    deviation = "" if values["deviation"] is None else f" ± {values['deviation']:.4f}"
    return f"{values['mean']:{sign}.4f}{deviation}"


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--folder", type=Path, default=Path("artifacts/study"))
    parser.add_argument("--pages", type=Path, nargs="+", default=[GOLD / "train.jsonl.zst"])
    parser.add_argument("--validation", type=Path, default=GOLD / "dev.jsonl.zst", help="labelled pages of other sites")
    prose = [GOLD / "clean_prose" / name for name in ("standardebooks.jsonl.zst", "wikitext-2.valid.txt")]
    parser.add_argument("--prose", type=Path, nargs="+", default=prose)
    parser.add_argument("--limit", type=int, help="maximum pages of each half; default: all")
    parser.add_argument("--epochs", type=float, default=1.5, help="passes of the line scorers' training")
    parser.add_argument("--tokens", type=int, default=1_000_000, help="training tokens of each model")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    started, folder = time.monotonic(), options.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    divide(options.pages, folder, options.limit)
    train_refiners(folder, options)
    tokenizer = make_tokenizer(folder)
    spark = get_session()
    arms = {arm: [refine(spark, folder, half, arm, tokenizer) for half in HALVES] for arm in ARMS}
    spark.stop()
    for arm in ARMS:
        join([folder / "tokens" / half / arm for half in HALVES], folder / "tokens" / arm)
    records = {arm: [train_model(folder, arm, seed, options) for seed in range(options.seeds)] for arm in ARMS}
    study = {"trained_tokens": records[RAW][0]["tokens"]} | summarise(arms, records)
    (folder / "study.json").write_text(json.dumps(study, indent=1) + "\n")
    (folder / "study.md").write_text(table(study))
    curves = {arm: points(trained(arm, study["arms"][arm], records[arm])) for arm in ARMS}
    draw_compute(curves, folder / "study.svg")
    report({"benchmark": "study", **study, "minutes": (time.monotonic() - started) / 60}, options.output)
    if options.output == "text":
        print(table(study))


if __name__ == "__main__":
    main()
