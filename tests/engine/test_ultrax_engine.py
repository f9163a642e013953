"""A random model of UltraX's shape through vLLM under the grammar of its calls.

Slow: vLLM starts once.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_helpers import end_engine, run
from tokenizers import Tokenizer

from prox_spark.config.engines import VllmSettings
from prox_spark.engines.tiny import build_tiny_model
from prox_spark.execution import ChunkProgram, ExecutionSettings, execute
from prox_spark.generation.templates import CONTROL
from prox_spark.programs import parse
from prox_spark.programs.grammar import ULTRAX_EBNF, follows

pytestmark = [pytest.mark.engine, pytest.mark.slow]

PAGE = "Home | Login\nThe old harbour lies an hour's walk from the town.\nRead more &amp; more\nCopyright 2024"
CALLS = (
    "remove_lines(1, 2)\nreplace_str(3, '&amp;', '&')\nadd_line(4, 1, 'A line.\\n')\nkeep_all()\nremove_all()\n<lid:1>"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Qwen3 of random weights, as UltraX's models are, on a small tokenizer with Qwen3's control tokens."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    built = tmp_path_factory.mktemp("ultrax")
    build_tiny_model(built, [f"{PAGE}\n{CALLS}\n"] * 3)
    for name in ("model.safetensors", "config.json"):
        (built / name).unlink()
    tokenizer = Tokenizer.from_file(str(built / "tokenizer.json"))
    tokenizer.add_special_tokens(list(CONTROL))
    tokenizer.save(str(built / "tokenizer.json"))
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=tokenizer.get_vocab_size(with_added_tokens=True),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        initializer_range=0.3,
        bos_token_id=None,
        eos_token_id=tokenizer.token_to_id("<|im_end|>"),
    )
    Qwen3ForCausalLM(config).save_pretrained(built)
    (built / "system.txt").write_text("Clean the page.")
    chunk = {"template": "ultrax/2", "window": 400, "max_tokens": 96, "system": "system.txt", "grammar": True}
    (built / "refiner.json").write_text(json.dumps({"name": "u", "context": 2048, "chunk": chunk}))
    yield built
    end_engine()
    shutil.rmtree(built)


def test_a_model_of_ultraxs_shape_writes_calls_of_its_grammar_that_are_executed(folder: Path) -> None:
    engine = VllmSettings(kind="vllm", model=str(folder), options={"dtype": "float32"})
    rows = run("chunk", engine, [PAGE, "\n".join([PAGE] * 12), "One line."])
    assert {doc for doc, _ in rows} == {"d0", "d1", "d2"}
    assert max(chunk for _, chunk in rows) > 0
    for row in rows.values():
        assert row["status"] != "failed", row["error"]
        assert follows(ULTRAX_EBNF, row["output"], cut=row["status"] == "truncated"), row["output"]
        assert row["line_offset"] == -1
        assert {call.outcome for call in parse(row["output"], 3).calls} <= {"ok", "truncated"}
    row = rows["d0", 0]
    chunk = ChunkProgram(row["output"], row["line_start"], row["line_end"], row["line_offset"])
    assert execute(PAGE, [chunk], settings=ExecutionSettings(semantics=3)).counts.n_calls > 0
