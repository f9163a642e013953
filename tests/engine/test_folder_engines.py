"""Both engines refuse the same folders before the first request.

Slow: vLLM starts once for each folder.
"""

import sys
from pathlib import Path

import pytest

from prox_spark.engines.protocol import Request
from prox_spark.engines.supervised import wire
from prox_spark.engines.supervised.client import SupervisedEngine
from prox_spark.errors import EngineError

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "engines"))

import folders_made as made

pytestmark = [pytest.mark.engine, pytest.mark.slow]


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
