"""``estimate`` says before a run what the run then asks of its engines, from a sample, and writes nothing.

The random model is a real one under transformers: its tokenizer and prompts are what is counted. Slow where that model
answers the whole demo corpus, where all pages of a real file are tokenised twice, and where a corpus must be
large or is refined first.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from claims import PAGE, PROSE

from prox_spark.cli import main
from prox_spark.config import Config, load_config
from prox_spark.corpora.files import list_files
from prox_spark.corpora.read import read_file
from prox_spark.costs import estimate as module
from prox_spark.costs.estimate import Estimate, estimate
from prox_spark.demo.corpus import FILES, write_corpus
from prox_spark.engines.protocol import Completion, Usage
from prox_spark.engines.tiny import build_tiny_model
from prox_spark.generation.generate import Generated
from prox_spark.generation.plan import plan_stages
from prox_spark.generation.task import run_stage
from prox_spark.ingestion.ingest import ingest
from prox_spark.pipeline import generate

TOLERANCE = 0.15


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("tiny"), [PAGE + " keep drop remove_lines [000] [doc]"])


def with_model(model: Path, *overrides: str) -> list[str]:
    """Both stages with the model; every document goes on to the chunk stage, and an output is one token."""
    keys = ["execution.drop_document_below=0", "chunk.max_tokens=1", "generate.self_test=false"]
    keys += [
        f"{stage}.engine.{key}" for stage in ("document", "chunk") for key in ("kind=transformers", f"model={model}")
    ]
    return [*keys, *overrides]


def asked(stages: list[Any]) -> list[tuple[str, int, int, int]]:
    return [(stage.stage, stage.documents, stage.chunks, stage.prompt_tokens) for stage in stages]


@pytest.mark.slow
@pytest.mark.engine
def test_the_estimate_of_the_demo_corpus_is_what_the_run_asks(spark: Any, model: Path, tmp_path: Path) -> None:
    write_corpus(tmp_path / "corpus")
    store = tmp_path / "store"
    configs = [
        load_config(
            None,
            with_model(model, f"store={store}", f"input.path={tmp_path / 'corpus' / file}", f"input.format={name}"),
        )
        for name, file in FILES.items()
    ]
    before = [estimate(spark, config) for config in configs]
    assert not store.exists()
    for config in configs:
        ingest(spark, config)
    pending = estimate(spark, configs[0])
    third = estimate(spark, configs[0], sample=80)

    run = generate(spark, configs[0])

    assert all(stage.documents >= 200 and stage.prompt_tokens for stage in run)
    assert asked(pending.stages)[0] == asked(run)[0]
    # Blank pages ask nothing: that the document stage does not pass them on is not known before.
    assert asked(pending.stages)[1][2:] == asked(run)[1][2:]
    assert pending.documents == pending.sampled == run[0].documents
    for stage, known in enumerate(run):
        summed = [sum(getattr(one.stages[stage], name) for one in before) for name in ("chunks", "prompt_tokens")]
        assert summed == [pytest.approx(known.chunks, rel=TOLERANCE), pytest.approx(known.prompt_tokens, rel=TOLERANCE)]
        within(third, stage, known)
    assert third.sampled < third.documents == run[0].documents
    assert pending.stages[0].output_tokens_at_most == 0
    assert pending.stages[1].output_tokens_at_most == run[1].chunks

    after = estimate(spark, configs[0], tokens_per_second=1.0, price_per_hour=2.0)
    assert (after.documents, after.sampled) == (0, 0)
    assert [(one.documents, one.prompt_tokens, one.engine_hours, one.price) for one in after.stages] == [
        (0, 0, 0, 0)
    ] * 2

    (tmp_path / "more.txt").write_text(PAGE)
    more = load_config(
        None, with_model(model, f"store={store}", f"input.path={tmp_path / 'more.txt'}", "input.format=text")
    )
    ingest(spark, more)
    measured = estimate(spark, more, price_per_hour=2.0)
    assert measured.documents == 1
    for one, known in zip(measured.stages, run, strict=True):
        speed = (known.prompt_tokens + known.output_tokens) / known.seconds
        assert one.engine_hours == pytest.approx((one.prompt_tokens + one.output_tokens_at_most) / speed / 3600)
        assert one.price == pytest.approx(2.0 * (one.engine_hours or 0))
    assert sum("in earlier runs on this store" in note for note in measured.notes) == 2


def within(found: Estimate, stage: int, known: Generated) -> None:
    assert found.stages[stage].documents == pytest.approx(known.documents, rel=TOLERANCE)
    assert found.stages[stage].chunks == pytest.approx(known.chunks, rel=TOLERANCE)
    assert found.stages[stage].prompt_tokens == pytest.approx(known.prompt_tokens, rel=TOLERANCE)


class Silent:
    def stream(self, requests: Any) -> Any:
        return (Completion(id=request.id, output="") for request in requests)

    def usage(self) -> Usage:
        return Usage()

    def close(self) -> None:
        pass


@pytest.mark.slow
def test_half_of_the_real_pages_tell_what_all_of_them_ask(
    spark: Any, shared: Path, model: Path, tmp_path: Path
) -> None:
    path = shared / "gold" / "dev.jsonl.zst"
    keys = [f"store={tmp_path / 'store'}", f"input.path={path}", "input.format=json", "input.columns.text=raw_content"]
    config = load_config(None, with_model(model, *keys))
    texts = [
        text
        for batch in read_file(str(path), "json", columns={"text": "raw_content"})
        for text in batch.column("text").to_pylist()
    ]
    ids = [str(number) for number in range(len(texts))]
    documents = pa.RecordBatch.from_pydict(
        {"doc_id": ids, "content_hash": ids, "unit": pa.array([0] * len(ids), pa.int64()), "text": texts}
    )

    found = estimate(spark, config, sample=100)

    assert found.documents == len(texts) == 218
    assert 60 < found.sampled < 180
    plans = plan_stages(config)
    for stage, one in zip((plans.document, plans.chunk), found.stages, strict=True):
        assert stage is not None
        rows = pa.Table.from_batches(list(run_stage(iter([documents]), stage, Silent())))
        chunks = len(rows) - rows.column("line_start").null_count
        assert one.chunks == pytest.approx(chunks, rel=TOLERANCE)
        assert one.prompt_tokens == pytest.approx(sum(rows.column("prompt_tokens").to_pylist()), rel=TOLERANCE)


@pytest.mark.slow
def test_a_large_corpus_is_read_in_part_and_told_so(
    spark: Any, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(80):
        texts = [f"{PROSE} " * (1 + (number + page) % 7) for page in range(50)]
        (tmp_path / f"{number:02}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    keys = [f"store={tmp_path / 'store'}", f"input.path={tmp_path / '*.jsonl'}", "input.format=json"]
    config = load_config(None, with_model(model, *keys))
    whole = estimate(spark, config)
    monkeypatch.setattr(module, "_BYTES_AT_LEAST", 0)
    monkeypatch.setattr(module, "_BYTES_PER_DOCUMENT", 4_000)
    size = sum(file.size for file in list_files(str(tmp_path / "*.jsonl")))
    assert size / 2 > 100 * 4_000

    part = estimate(spark, config, sample=100)

    assert whole.documents == 4_000
    assert part.documents == pytest.approx(4_000, rel=0.05)
    for one, other in zip(part.stages, whole.stages, strict=True):
        assert one.prompt_tokens == pytest.approx(other.prompt_tokens, rel=TOLERANCE)
    assert any("of the input's bytes were read" in note for note in part.notes)


@pytest.mark.slow
def test_the_share_that_the_document_stage_kept_so_far_scales_the_chunk_stage(
    spark: Any, configure: Callable[..., Config], write_pages: Callable[..., Path], model: Path, tmp_path: Path
) -> None:
    chunk = ["chunk.engine.kind=transformers", f"chunk.engine.model={model}"]
    document = ["document.engine.kind=scripted", "document.engine.answers={junk: 0.1}"]
    first = configure(*document, "chunk=null", path=write_pages([PAGE, PAGE + "b", PAGE + "c", "junk"]))
    ingest(spark, first)
    config = configure(*document, *chunk, path=first.input.path if first.input else None)

    unknown = estimate(spark, config)
    generate(spark, first)
    write_pages([f"{PAGE} {number}" for number in range(8)], "more.json")
    more = configure(*document, *chunk, path=tmp_path / "more.json")
    ingest(spark, more)
    known = estimate(spark, more)

    assert [stage.documents for stage in unknown.stages] == [4, 4]
    assert any("as if every document is kept" in note for note in unknown.notes)
    # Of the 8 new ones three quarters, and the 3 that the document stage has passed on already.
    assert [stage.documents for stage in known.stages] == [8, 9]
    assert known.documents == 11
    assert any("has kept 75.0% so far" in note for note in known.notes)
    assert known.stages[1].chunks == 9


def test_only_some_of_many_units_are_read(
    spark: Any, configure: Callable[..., Config], write_pages: Callable[..., Path]
) -> None:
    texts = [f"{number} {PROSE}" for number in range(24)]
    for number, text in enumerate(texts):
        write_pages([text], f"{number:02}.json")
    config = configure("ingest.unit_bytes=60", path=str(write_pages(["x"], "99.json").parent / "*.json"))
    ingest(spark, config)

    found = estimate(spark, config, tokens_per_second=5.0)

    assert (found.documents, [stage.documents for stage in found.stages]) == (25, [25, 25])
    assert found.sampled < 25
    assert [stage.chunks for stage in found.stages] == [0, 25]
    assert [stage.engine_hours for stage in found.stages] == [0.0, 0.0]
    assert any("pending units were read" in note for note in found.notes)


def test_a_limit_and_a_spark_source_are_counted_exactly(
    spark: Any, configure: Callable[..., Config], tmp_path: Path
) -> None:
    table = str(tmp_path / "table")
    spark.createDataFrame([("a page",), (None,), ("another",)], "body string").write.format("delta").save(table)
    keys = [f"store={tmp_path / 'store'}", "chunk.engine.kind=rules", f"input.path={table}", "input.format=delta"]
    source = load_config(None, [*keys, "input.columns.text=body"])
    assert estimate(spark, source).documents == 2

    (tmp_path / "pages.jsonl").write_text("".join(json.dumps({"text": f"{n}"}) + "\n" for n in range(9)))
    limited = configure("input.limit=5", path=tmp_path / "pages.jsonl")
    assert estimate(spark, limited).documents == 5


def test_the_command_answers_in_json_and_in_lines(
    spark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "page.txt").write_text(PAGE)
    words = [f"store={tmp_path / 'store'}", f"input.path={tmp_path / 'page.txt'}", "input.format=text"]
    words += ["document.engine.kind=rules", "chunk.engine.kind=rules"]

    assert main(["estimate", *words, "--output", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer.keys() == {"documents", "sampled", "stages", "notes"}
    assert (answer["documents"], answer["sampled"]) == (1, 1)
    expected = {"stage", "refiner", "documents", "chunks", "prompt_tokens", "output_tokens_at_most"}
    assert [stage.keys() for stage in answer["stages"]] == [expected | {"engine_hours", "price"}] * 2

    assert main(["estimate", *words, "--sample", "5", "--tokens-per-second", "100", "--price-per-hour", "2.5"]) == 0
    out = capsys.readouterr().out
    assert "documents  1" in out
    assert "- the document stage has not run" in out
    assert not (tmp_path / "store").exists()

    assert main(["estimate", *words, "--tokens-per-second", "0"]) == 2
    assert "must be above 0" in capsys.readouterr().err
