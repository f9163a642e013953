"""The ``onnx`` engine: scores are those of transformers, a fault costs one request, and neither torch nor vLLM is needed."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from engine_helpers import run

from prox_spark.config.engines import OnnxSettings, TransformersSettings
from prox_spark.config.models import ChunkConfig
from prox_spark.engines.models import SHIPPED
from prox_spark.engines.onnx import scorer
from prox_spark.engines.onnx.engine import OnnxEngine
from prox_spark.engines.onnx.scorer import Scorer, load_scorer, task_threads
from prox_spark.engines.protocol import Completion, Request
from prox_spark.engines.tiny import build_tiny_model
from prox_spark.errors import EngineError, RefinerError
from prox_spark.generation.kinds import load_refiner, open_engine
from prox_spark.generation.plan import plan_stage
from prox_spark.generation.refiner import fingerprint

pytest.importorskip("onnxruntime")

SHAPE: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 5,
    "num_attention_heads": 2,
    "max_position_embeddings": 512,
    "local_attention": 32,
    "global_attn_every_n_layers": 3,
    "id2label": {0: "drop", 1: "keep"},
    "label2id": {"drop": 0, "keep": 1},
    "initializer_range": 0.4,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "cls_token_id": 0,
    "sep_token_id": 1,
}
PAGE = "Home About Contact\n\nThis page tells of a house by the sea, and of who lived there.\nWe use cookies. Accept"


def save(folder: Path, **changed: Any) -> Any:
    """A random classifier in ``folder``; the model as transformers has it."""
    import torch
    from transformers import ModernBertConfig, ModernBertForTokenClassification

    torch.manual_seed(0)
    model = ModernBertForTokenClassification(ModernBertConfig(**SHAPE | changed)).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "norm" in name or name.endswith("bias"):
                value.add_(0.2 * torch.randn_like(value))
    model.save_pretrained(folder)
    return model


def expected(model: Any, ids: list[int], positions: list[int]) -> list[float]:
    import torch

    with torch.inference_mode():
        found: list[float] = model(input_ids=torch.tensor([ids])).logits.softmax(-1)[0, positions, 1].tolist()
    return found


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("classifier")
    return folder, save(folder)


@pytest.fixture
def folder(tiny: tuple[Path, Any], tmp_path: Path) -> Path:
    """A copy of the tiny classifier with a tokenizer and a ``refiner.json``, to be changed."""
    whole = build_tiny_model(tmp_path / "classifier", [PAGE])
    (whole / "model.safetensors").unlink()
    size = json.loads((whole / "config.json").read_text())["vocab_size"]
    save(whole, vocab_size=size)
    stage = {"template": "text/1", "window": 200, "label": "keep"}
    refiner = {"name": "scorer", "context": 512, "document": stage, "chunk": {**stage, "numbering": "none"}}
    (whole / "refiner.json").write_text(json.dumps(refiner))
    return whole


VARIANTS: list[dict[str, Any]] = [
    {},
    {"norm_bias": True, "attention_bias": True, "mlp_bias": True, "classifier_bias": True},
    {"num_hidden_layers": 1},
    {"num_hidden_layers": 4, "local_attention": 200, "global_attn_every_n_layers": 2},
    {"layer_types": ["sliding_attention", "sliding_attention", "full_attention"], "num_hidden_layers": 3},
]


@pytest.mark.parametrize("changed", VARIANTS, ids=lambda changed: "-".join(changed) or "plain")
def test_scores_are_those_of_transformers(changed: dict[str, Any], tmp_path: Path) -> None:
    model = save(tmp_path, **changed)
    onnx = Scorer(tmp_path, context=512, label=1, int8=False)
    for length in (1, 2, 15, 64, 65, 130, 511, 512):
        ids = [(7 * place * place + length) % 300 for place in range(length)]
        positions = sorted({0, length // 3, length - 1})
        assert onnx.score(ids, positions) == pytest.approx(expected(model, ids, positions), abs=1e-4)


def test_a_large_vocabulary_needs_no_table(tiny: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    ids, positions = [5, 250, 3, 77] * 20, [0, 40, 79]
    monkeypatch.setattr("prox_spark.engines.onnx.modernbert._TABLE_BYTES", 0)
    onnx = Scorer(tiny[0], context=512, label=1, int8=False)
    assert onnx.score(ids, positions) == pytest.approx(expected(tiny[1], ids, positions), abs=1e-4)


@pytest.mark.parametrize("removed", ["rope_parameters", "layer_types"])
def test_what_an_older_config_leaves_out_is_its_default(tiny: tuple[Path, Any], tmp_path: Path, removed: str) -> None:
    shutil.copytree(tiny[0], tmp_path / "old")
    config = json.loads((tiny[0] / "config.json").read_text())
    del config[removed]
    (tmp_path / "old" / "config.json").write_text(json.dumps(config))
    asked = ([9, 8, 7] * 30, [3, 50])
    plain = Scorer(tiny[0], context=512, label=1, int8=False)
    assert Scorer(tmp_path / "old", context=512, label=1, int8=False).score(*asked) == plain.score(*asked)


@pytest.mark.parametrize("stage", ["chunk", "document"])
def test_rows_of_a_stage_are_those_of_transformers(folder: Path, stage: str) -> None:
    from prox_spark.engines.supervised import wire
    from prox_spark.engines.supervised.transformers_backend import TransformersBackend

    texts = [PAGE, "\n".join([PAGE] * 12), "one line"]
    rows = run(stage, OnnxSettings(kind="onnx", model=str(folder)), texts)
    backend = TransformersBackend(wire.Hello("transformers", str(folder), 512, {}, label=1))

    class Reference:
        def stream(self, requests: Iterator[Request]) -> Iterator[Completion]:
            for request in requests:
                yield wire.completion(backend._run([wire.question(request)])[0])

    refiner = load_refiner(stage, TransformersSettings(kind="transformers", model=str(folder)))
    reference = _rows(stage, refiner, Reference(), folder, texts)
    assert rows.keys() == reference.keys()
    assert len(rows) > (3 if stage == "chunk" else 2)
    for key, row in rows.items():
        assert (row["status"], row["output_tokens"]) == ("ok", 0)
        same = ("refiner", "line_start", "line_end", "prompt_tokens")
        assert [row[name] for name in same] == [reference[key][name] for name in same]
        name = "keep_score" if stage == "document" else "line_scores"
        assert row[name] == pytest.approx(reference[key][name], abs=1e-4)


def _rows(stage: Any, refiner: Any, engine: Any, folder: Path, texts: list[str]) -> dict[Any, Any]:
    import pyarrow as pa

    from prox_spark.generation.plan import StagePlan
    from prox_spark.generation.task import run_stage

    settings = TransformersSettings(kind="transformers", model=str(folder))
    plan = StagePlan(stage, settings, refiner, fingerprint(refiner))
    ids = [f"d{n}" for n in range(len(texts))]
    columns = {"doc_id": ids, "content_hash": ids, "unit": pa.array([0] * len(ids), pa.int64()), "text": texts}
    batches = run_stage(iter([pa.RecordBatch.from_pydict(columns)]), plan, engine)
    return {(row["doc_id"], row["chunk"]): row for batch in batches for row in batch.to_pylist()}


# int8


def shipped(**settings: Any) -> Any:
    return load_refiner("chunk", OnnxSettings(kind="onnx", model="web-lines-2", **settings))


def test_each_precision_has_a_fingerprint_and_single_precision_that_of_the_other_engines() -> None:
    plain = load_refiner("chunk", TransformersSettings(kind="transformers", model="web-lines-2"))
    assert shipped(precision="float32") == plain
    assert shipped(precision="int8") == replace(plain, options=(("precision", '"int8"'),))
    assert fingerprint(shipped()) == "53363bbeb4300e2bf63bcdc2df7a0d74370a33f7e4540b7270b13e23172f5ff2"


def test_the_default_precision_is_what_the_refiner_says(folder: Path) -> None:
    def options() -> Any:
        return load_refiner("chunk", OnnxSettings(kind="onnx", model=str(folder))).options

    assert options() == ()
    refiner = json.loads((folder / "refiner.json").read_text())
    refiner["chunk"]["int8"] = True
    (folder / "refiner.json").write_text(json.dumps(refiner))
    assert options() == (("precision", '"int8"'),)
    # Other engines have no such precision, and the same fingerprint as before.
    assert load_refiner("chunk", TransformersSettings(kind="transformers", model=str(folder))).options == ()


def test_int8_is_near_single_precision_and_the_same_each_time() -> None:
    ids = [(7 * place * place) % 4000 + 1 for place in range(300)]
    positions = list(range(9, 300, 10))
    single, whole, again = (
        Scorer(SHIPPED / "web-lines-2", context=4096, label=1, int8=int8).score(ids, positions)
        for int8 in (False, True, True)
    )
    assert whole == again
    assert whole != single
    assert whole == pytest.approx(single, abs=0.05)


# Faults


def request(number: int, ids: list[int] | None, positions: list[int] | None) -> Request:
    return Request(id=number, stage="chunk", text="", token_ids=ids, positions=positions)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (request(1, [1] * 513, [0]), "a prompt of 513 tokens; the model reads 1 to 512"),
        (request(1, [], [0]), "a prompt of 0 tokens"),
        (request(1, [1, 300], [0]), "token ids must be in 0 to 299"),
        (request(1, [1, -1], [0]), "token ids must be in 0 to 299"),
        (request(1, [1, 2], [2]), "positions must be in 0 to 1"),
        (request(1, [1, 2], []), "positions must be in 0 to 1, at least one"),
        (request(1, [1, 2], None), "scores positions of token ids only"),
        (request(1, None, [0]), "scores positions of token ids only"),
    ],
)
def test_a_request_that_cannot_be_answered_fails_alone(tiny: tuple[Path, Any], bad: Request, said: str) -> None:
    engine = OnnxEngine(lambda: Scorer(tiny[0], context=512, label=1, int8=False).score)
    first, failed, last = engine.stream(iter([request(0, [1, 2], [1]), bad, request(2, [1, 2], [1])]))
    assert (failed.id, failed.finish, failed.scores) == (1, "error", None)
    assert said in (failed.error or "")
    assert first.scores == last.scores != None  # noqa: E711 -- both, and there


def test_a_model_is_loaded_with_the_first_request_and_once_in_a_process(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    monkeypatch.setattr(scorer, "Scorer", lambda *_, **how: made.append(how) or _Fixed())
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    load_scorer.cache_clear()
    settings = OnnxSettings(kind="onnx", model=str(folder), precision="int8")
    refiner = load_refiner("chunk", settings)
    assert list(open_engine(settings, refiner).stream(iter([]))) == []
    assert made == []
    for _ in range(2):
        (answer,) = open_engine(settings, refiner).stream(iter([request(4, [1], [0])]))
        assert answer == Completion(id=4, scores=[0.5])
    assert made == [{"context": 512, "label": 1, "int8": True, "threads": 2}]
    load_scorer.cache_clear()


class _Fixed:
    def score(self, ids: Any, positions: Any) -> list[float]:
        return [0.5]


@pytest.mark.parametrize(("value", "threads"), [("", 1), ("3", 3), ("0", 1), ("-1", 1), ("2,1", 1), ("99999", 1)])
def test_threads_are_the_tasks_cores(monkeypatch: pytest.MonkeyPatch, value: str, threads: int) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert task_threads() == threads


def test_the_time_of_an_engine_is_counted() -> None:
    engine = OnnxEngine(lambda: lambda ids, positions: [0.5])
    assert len(list(engine.stream(request(n, [1], [0]) for n in range(3)))) == 3
    assert engine.usage().seconds >= engine.usage().busy_seconds > 0
    assert (engine.usage().restarts, engine.usage().retries) == (0, 0)


# Refused


def change(folder: Path, name: str, **values: Any) -> OnnxSettings:
    file = folder / name
    file.write_text(json.dumps(json.loads(file.read_text()) | values))
    return OnnxSettings(kind="onnx", model=str(folder))


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("config.json", {"architectures": ["BertForTokenClassification"]}, r"this is \['Bert.*vllm or transformers"),
        ("config.json", {"hidden_activation": "relu"}, "computes gelu"),
        (
            "config.json",
            {"rope_parameters": {"full_attention": {"rope_type": "yarn", "rope_theta": 1.0}}},
            "default rotary",
        ),
        (
            "config.json",
            {"num_attention_heads": None, "layer_types": None, "num_hidden_layers": None},
            "cannot be read",
        ),
        ("refiner.json", {"chunk": {"template": "text/1", "window": 200}}, "runs token classifiers only"),
    ],
)
def test_a_model_that_it_does_not_run_is_refused_at_planning(
    folder: Path, name: str, values: dict[str, Any], said: str
) -> None:
    settings = change(folder, name, **values)
    with pytest.raises(RefinerError, match=said):
        load_refiner("chunk", settings)


def test_quantised_weights_are_refused_at_planning(folder: Path) -> None:
    settings = change(folder, "config.json", quantization_config={"quant_method": "gptq"})
    with pytest.raises(RefinerError, match=r"quantised \(gptq\), and engine\.kind onnx reads no quantised weights"):
        plan_stage("chunk", ChunkConfig(engine=settings))


def test_settings_with_a_byte_order_mark_are_read(folder: Path) -> None:
    settings = OnnxSettings(kind="onnx", model=str(folder))
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        file = folder / name
        file.write_text(file.read_text(), encoding="utf-8-sig")
    refiner = plan_stage("chunk", ChunkConfig(engine=settings)).refiner
    (row,) = run("chunk", settings, [PAGE]).values()
    assert (refiner.window, row["status"]) == (200, "ok")


def test_weights_that_are_not_there_are_named(tiny: tuple[Path, Any], tmp_path: Path) -> None:
    shutil.copytree(tiny[0], tmp_path / "less")
    config = json.loads((tiny[0] / "config.json").read_text())
    more = {"num_hidden_layers": 6, "layer_types": ["full_attention"] * 6}
    (tmp_path / "less" / "config.json").write_text(json.dumps(config | more))
    with pytest.raises(RefinerError, match=r"the weights lack 'model\.layers\.5\.attn_norm\.weight'"):
        Scorer(tmp_path / "less", context=512, label=1, int8=False)
    (tmp_path / "less" / "model.safetensors").write_bytes(b"\x10" * 40)
    with pytest.raises(RefinerError, match=r"model\.safetensors is cut off"):
        Scorer(tmp_path / "less", context=512, label=1, int8=False)


def test_other_files_of_weights_in_the_folder_are_not_read(tiny: tuple[Path, Any], tmp_path: Path) -> None:
    shutil.copytree(tiny[0], tmp_path / "two")
    save(tmp_path / "other", initializer_range=0.1)
    shutil.copy(tmp_path / "other" / "model.safetensors", tmp_path / "two" / "model-old.safetensors")
    (tmp_path / "two" / "optimizer.safetensors").write_bytes(b"\x10" * 40)
    asked = ([9, 8, 7] * 30, [3, 50])
    plain = Scorer(tiny[0], context=512, label=1, int8=False)
    assert Scorer(tmp_path / "two", context=512, label=1, int8=False).score(*asked) == plain.score(*asked)


def test_a_machine_without_onnxruntime_is_told_what_to_install(
    tiny: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EngineError, match=r"pip install 'prox-spark\[onnx\]'"):
        Scorer(tiny[0], context=512, label=1, int8=False)


ALONE = """
import sys
for name in ("torch", "transformers", "vllm", "onnx", "pyspark"):
    sys.modules[name] = None
sys.path.insert(0, sys.argv[1])
from engine_helpers import run
from prox_spark.config.engines import OnnxSettings
(row,) = run("chunk", OnnxSettings(kind="onnx", model="web-lines-2"), ["Home\\nA house by the sea.\\nLog in"]).values()
print(row["status"], len(row["line_scores"]))
"""


def test_neither_torch_nor_vllm_is_needed() -> None:
    tests = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", ALONE, str(tests)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "ok 3\n"), done.stderr[-2000:]
