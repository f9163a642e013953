"""Both engines answer alike from the same folder, and refuse the same ones before the first request.

Slow: vLLM starts once for each folder.
"""

import json
import sys
from pathlib import Path

import pytest
from engine_helpers import end_engine, run

from prox_spark.config.engines import TransformersSettings, VllmSettings
from prox_spark.engines.protocol import Request
from prox_spark.engines.supervised import wire
from prox_spark.engines.supervised.client import SupervisedEngine
from prox_spark.errors import EngineError

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "engines"))

import folders_made as made

pytestmark = [pytest.mark.engine, pytest.mark.slow]

TEXTS = ["A page has a menu.\nSome prose of a page.", "A footer\nand a cookie banner", "[doc]\nA page."]


def outputs(engine: str, folder: Path) -> dict[tuple[str, int], str]:
    settings = (
        VllmSettings(kind="vllm", model=str(folder), options={"dtype": "float32"})
        if engine == "vllm"
        else TransformersSettings(kind="transformers", model=str(folder))
    )
    try:
        return {key: row["output"] for key, row in run("chunk", settings, TEXTS, grammar=False, max_tokens=16).items()}
    finally:
        end_engine()


def test_engines_agree_on_greedy_answers_and_on_end_tokens(tmp_path: Path) -> None:
    made.sampling(tmp_path)
    free = outputs("transformers", tmp_path)
    assert outputs("vllm", tmp_path) == free
    # A token that answers have, as an end token of the model's settings alone.
    entries = json.loads((tmp_path / "tokenizer.json").read_text())["model"]["vocab"]
    first = next(iter(free.values())).split(" ")[-1]
    end = next(number for entry, number in entries.items() if entry == f"Ġ{first}" or entry == first)
    made.edit(tmp_path, "config.json", eos_token_id=[1, end])
    cut = outputs("transformers", tmp_path)
    assert cut != free
    assert outputs("vllm", tmp_path) == cut


@pytest.mark.parametrize("backend", ["transformers", "vllm"])
@pytest.mark.parametrize("build", [made.no_layer, made.other_head, made.no_head])
def test_no_engine_starts_with_random_weights(build: made.Callable[[Path], None], backend: str, tmp_path: Path) -> None:
    build(tmp_path)
    engine = SupervisedEngine(wire.Hello(backend, str(tmp_path), 1024, {}))
    with pytest.raises(EngineError, match=rf"the {backend} engine cannot load \S+: the weights in \S+ lack "):
        next(engine.stream(iter([Request(id=0, stage="chunk", text="", token_ids=[0, 5], max_tokens=4)])))


def test_the_cause_of_vllms_failed_start_comes_first(tmp_path: Path) -> None:
    made.plain(tmp_path)
    options = {"kv_cache_memory_bytes": 1, "max_num_seqs": 1}
    engine = SupervisedEngine(wire.Hello("vllm", str(tmp_path), 1024, options))
    with pytest.raises(EngineError) as raised:
        next(engine.stream(iter([Request(id=0, stage="chunk", text="", token_ids=[0, 5], max_tokens=4)])))
    first = str(raised.value).splitlines()[0]
    assert "root cause" not in first
    assert "cache" in first
    assert "; its log: " in first
