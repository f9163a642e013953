"""The engines ``dsir``, ``random`` and ``column``: what they answer, what they are known by, and what they refuse."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from prox_spark.adapt.adapt import adapt
from prox_spark.config import load_config
from prox_spark.config.adapt import AdaptConfig
from prox_spark.config.engines import ColumnSettings, DsirSettings, RandomSettings
from prox_spark.config.models import DocumentConfig
from prox_spark.engines.models import SHIPPED
from prox_spark.errors import ConfigError, RefinerError, TrainingError
from prox_spark.functions import generate_programs
from prox_spark.generation.kinds import load_refiner, open_engine
from prox_spark.generation.plan import plan_stage
from prox_spark.generation.refiner import fingerprint
from prox_spark.generation.task import run_stage
from prox_spark.selection.chance import uniform
from prox_spark.selection.column import keep_score
from prox_spark.selection.dsir import QUANTILES, Dsir
from prox_spark.selection.folder import FILE, WEIGHTS, load_dsir, save_dsir
from prox_spark.selection.ngrams import BUCKETS

TEXTS = ["The tide rose over the flats.", "Buy now.", "   ", "And the boats came home."]


def dsir(**changes: Any) -> Dsir:
    given = {"short": 0.25, "min_words": 3, "seed": 0, **changes}
    return Dsir(np.linspace(-1, 1, BUCKETS), np.linspace(-9, 9, QUANTILES), **given)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_dsir(dsir(), "like-prose", tmp_path)
    return tmp_path


def rows(engine: Any, scores: list[str | None] | None = None) -> list[dict[str, Any]]:
    """Rows of ``programs`` for ``TEXTS``, by a task's own code, in the order of the documents."""
    plan = plan_stage("document", DocumentConfig(engine=engine))
    ids = [f"d{number}" for number in range(len(TEXTS))]
    columns = {"doc_id": ids, "content_hash": ids, "unit": pa.array([0] * len(ids), pa.int64()), "text": TEXTS}
    if scores is not None:
        columns["score"] = pa.array(scores, pa.string())
    batches = run_stage(iter([pa.RecordBatch.from_pydict(columns)]), plan, open_engine(plan.settings, plan.refiner))
    found = [row for batch in batches for row in batch.to_pylist()]
    return sorted(found, key=lambda row: str(row["doc_id"]))


def test_random_scores_are_the_ids_numbers_and_blank_documents_have_none() -> None:
    found = rows(RandomSettings(kind="random", seed=4))
    numbers = uniform(["d0", "d1", "d2", "d3"], 4, "random").tolist()
    assert [row["keep_score"] for row in found] == [numbers[0], numbers[1], None, numbers[3]]
    assert [row["status"] for row in found] == ["ok", "ok", "skipped", "ok"]


def test_dsir_scores_are_those_of_its_folder(folder: Path) -> None:
    found = rows(DsirSettings(kind="dsir", model=str(folder)))
    expected = dsir().keep_scores(TEXTS, ["d0", "d1", "d2", "d3"])
    assert [row["keep_score"] for row in found] == [expected[0], expected[1], None, expected[3]]
    assert expected[0] > 0.25


def test_a_column_without_a_number_fails_its_document_alone() -> None:
    found = rows(ColumnSettings(kind="column", column="quality"), ["0.5", "high", "0.1", None])
    assert [(row["status"], row["keep_score"]) for row in found] == [
        ("ok", 0.5),
        ("failed", None),
        ("skipped", None),
        ("failed", None),
    ]
    assert [row["error"] for row in found] == [None, "quality is 'high', not a number", None, "quality is null"]
    scaled = rows(ColumnSettings(kind="column", column="perplexity", scale=(1000.0, 0.0)), ["250", "2e3", "0", "-1"])
    assert [row["keep_score"] for row in scaled] == [0.75, 0.0, None, 1.0]


@pytest.mark.parametrize(
    ("given", "scale", "expected"),
    [
        ("0", None, 0.0),
        ("1.0", None, 1.0),
        (" 0.25 ", None, 0.25),
        ("1e-3", None, 0.001),
        ("3", (0.0, 5.0), 0.6),
        ("7", (0.0, 5.0), 1.0),
        ("-7", (0.0, 5.0), 0.0),
        ("7", (10.0, 5.0), 0.6),
        ("1.5", None, "s is 1.5, outside of [0, 1]: set engine.scale"),
        ("-0.1", None, "s is -0.1, outside of [0, 1]: set engine.scale"),
        ("nan", (0.0, 5.0), "s is 'nan', not a number"),
        ("inf", (0.0, 5.0), "s is 'inf', not a number"),
        ("", None, "s is '', not a number"),
        ("true", None, "s is 'true', not a number"),
        ("1_0", (0.0, 5.0), "s is '1_0', not a number"),
        ('{"a": 1}', None, "s is '{\"a\": 1}', not a number"),
        (None, (0.0, 5.0), "s is null"),
    ],
)
def test_every_value_of_a_column_is_a_score_or_a_reason(
    given: str | None, scale: tuple[float, float] | None, expected: float | str
) -> None:
    found = keep_score(given, "s", scale)
    assert found == (expected if isinstance(expected, str) else pytest.approx(expected))


def test_a_folder_is_written_and_read_with_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    save_dsir(load_dsir(folder), "like-prose", other)
    assert [(other / name).read_bytes() for name in (FILE, WEIGHTS)] == [
        (folder / name).read_bytes() for name in (FILE, WEIGHTS)
    ]


def test_fingerprints_follow_what_changes_answers_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    def known_by(engine: Any) -> str:
        return fingerprint(load_refiner("document", engine))

    def saved(name: str, one: Dsir) -> DsirSettings:
        (tmp_path / name).mkdir()
        save_dsir(one, name, tmp_path / name)
        return DsirSettings(kind="dsir", model=str(tmp_path / name))

    first = DsirSettings(kind="dsir", model=str(folder))
    assert known_by(saved("renamed", dsir())) == known_by(first)
    changed: list[Any] = [saved(f"with-{key}", dsir(**{key: value})) for key, value in CHANGES.items()]
    changed += [RandomSettings(kind="random", seed=seed) for seed in (0, 1)]
    changed += [ColumnSettings(kind="column", column=column) for column in ("a", "b")]
    changed += [ColumnSettings(kind="column", column="a", scale=scale) for scale in ((0.0, 1.0), (1.0, 0.0))]
    assert len({known_by(engine) for engine in (first, *changed)}) == 1 + len(changed)


CHANGES = {"short": 0.5, "min_words": 4, "seed": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "lines"}, "is not a DSIR refiner"),
        ({"version": 0}, "n-gram version 0"),
        ({"short": 2}, "short"),
        ({"more": 1}, "more"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused(folder: Path, change: dict[str, Any], message: str) -> None:
    (folder / FILE).write_text(json.dumps({**json.loads((folder / FILE).read_text()), **change}))
    with pytest.raises(RefinerError, match=message):
        load_dsir(folder)


@pytest.mark.parametrize("name", ["web-documents-1", "web-lines-2"])
def test_a_refiner_of_another_kind_is_refused(name: str) -> None:
    with pytest.raises(RefinerError, match="made by `adapt` with task=selection"):
        load_refiner("document", DsirSettings(kind="dsir", model=str(SHIPPED / name)))


def test_damaged_weights_are_refused(folder: Path) -> None:
    from safetensors.numpy import save_file

    (folder / WEIGHTS).write_bytes(b"no tensors")
    with pytest.raises(RefinerError, match="cannot be read"):
        load_dsir(folder)
    good = {"log_ratio": np.zeros(BUCKETS), "quantiles": np.zeros(QUANTILES)}
    for name, tensor, message in (
        ("log_ratio", np.zeros(5), r"\(5,\) buckets"),
        ("log_ratio", np.full(BUCKETS, np.nan), "not numbers"),
        ("quantiles", np.linspace(1, 0, QUANTILES), "unsorted quantiles"),
    ):
        save_file({**good, name: tensor}, folder / WEIGHTS)
        with pytest.raises(RefinerError, match=message):
            load_dsir(folder)
    save_file({"log_ratio": np.zeros(BUCKETS)}, folder / WEIGHTS)
    with pytest.raises(RefinerError, match="quantiles"):
        load_dsir(folder)


@pytest.mark.parametrize(
    "engine", [{"kind": "random"}, {"kind": "column", "column": "a"}, {"kind": "dsir", "model": "m"}]
)
def test_they_choose_whole_documents_of_a_store(engine: dict[str, str]) -> None:
    keys = [f"{{}}.engine.{key}={value}" for key, value in engine.items()]
    chunk = load_config(None, ["store=s", *(key.format("chunk") for key in keys)]).chunk
    assert chunk is not None
    with pytest.raises(RefinerError, match=r"use it in document\.engine"):
        load_refiner("chunk", chunk.engine)
    if engine["kind"] != "dsir":
        config = load_config(None, ["store=s", *(key.format("document") for key in keys)])
        with pytest.raises(ConfigError, match="a column of texts does not have"):
            generate_programs(config)


@pytest.mark.parametrize("scale", ["[1, 1]", "[0, .inf]", "[0]"])
def test_a_scale_is_two_different_numbers(scale: str) -> None:
    keys = ["store=s", "document.engine.kind=column", "document.engine.column=a", f"document.engine.scale={scale}"]
    with pytest.raises(ConfigError, match=r"document\.engine\.scale"):
        load_config(None, keys)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"task": "selection"}, "target is missing"),
        ({"task": "selection", "target": {"path": "t", "format": "json"}, "train": ["t"]}, "train is set"),
        (
            {"task": "lines", "train": ["t"], "validation": ["v"], "target": {"path": "t", "format": "json"}},
            "target is",
        ),
        ({"task": "lines", "train": ["t"]}, "validation is missing"),
        ({"task": "selection", "target": {"path": "t", "format": "json", "refinement": "r"}}, "refinement is set"),
        ({"task": "selection", "target": {"path": ["t"], "format": "store"}}, "takes one path"),
    ],
)
def test_adapt_says_what_its_task_needs(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AdaptConfig.model_validate({"name": "n", "output": "o", **given})


def test_a_selection_is_not_trained_without_a_session() -> None:
    target = {"path": "t", "format": "json"}
    settings = AdaptConfig.model_validate({"name": "n", "output": "o", "task": "selection", "target": target})
    with pytest.raises(TrainingError, match=r"prox_spark\.adapt\.selection"):
        adapt(settings)
