"""The released ProX refiners by their shape: random weights of size XS, Llama 2's tokenizer, a folder without refiner.json.

Slow: 354 million parameters, written and loaded.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_helpers import end_engine, run

from prox_spark.config.adapt import SIZES
from prox_spark.config.engines import TransformersSettings
from prox_spark.generation.kinds import load_refiner

PAGE = "Home | About\nThe old harbour lies an hour's walk from the town.\nCopyright 2024"


@pytest.fixture(scope="module")
def released(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("released") / "web-chunk-refining-lm"
    shutil.copytree(shared / "tokenizers" / "llama-2", folder)
    torch.manual_seed(0)
    size = SIZES["xs"]
    config = LlamaConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.hidden,
        intermediate_size=size.feed_forward,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.kv_heads,
        max_position_embeddings=2048,
    )
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    assert 300e6 < sum(parameter.numel() for parameter in model.parameters()) < 400e6
    model.save_pretrained(folder, safe_serialization=True)
    yield folder
    end_engine()
    shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.engine
def test_a_released_refiner_is_known_by_its_files_and_answers_in_its_dialect(released: Path) -> None:
    engine = TransformersSettings(kind="transformers", model=str(released))
    chunk, document = load_refiner("chunk", engine), load_refiner("document", engine)
    assert (chunk.template, chunk.window, chunk.max_tokens, chunk.numbering) == ("prox-plain/1", 1500, 256, "document")
    assert (document.template, document.window, document.context) == ("prox-llama2/1", 2000, 2048)

    (row,) = run("chunk", engine, [PAGE], grammar=True, max_tokens=24).values()
    assert row["status"] in ("ok", "truncated")
    assert row["output"].startswith(("untouch_doc()", "remove_lines(start=", "normalize(source_str="))
    assert all(0 <= call["confidence"] <= 1 for call in row["calls"] if call["confidence"] is not None)

    (row,) = run("document", engine, [PAGE], grammar=True).values()
    assert row["keep_score"] in (0.0, 1.0)
