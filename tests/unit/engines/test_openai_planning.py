"""Planning with an endpoint, and whole rows of programs."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from endpoint import Endpoint
from openai_helpers import answers, decides, settings
from pydantic import TypeAdapter
from servers import PROGRAM, SERVERS

from prox_spark.config.engines import EngineSettings, OpenaiSettings, VllmSettings
from prox_spark.config.models import ChunkConfig, DocumentConfig
from prox_spark.engines.tiny import build_tiny_model
from prox_spark.errors import RefinerError
from prox_spark.generation.kinds import load_refiner
from prox_spark.generation.plan import plan_stage
from prox_spark.generation.refiner import fingerprint
from prox_spark.generation.task import generate_programs
from prox_spark.generation.tokens import PromptTokenizer


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = "A page has a menu, some prose, a cookie banner and a footer.\nremove_lines keep_doc drop_doc untouch_doc\n"
    return build_tiny_model(tmp_path_factory.mktemp("tiny"), [text * 3])


def test_the_kind_is_read_from_a_configuration() -> None:
    given = {"kind": "openai", "model": "m", "base_url": "http://h/v1", "refiner": "r"}
    read = TypeAdapter(EngineSettings).validate_python(given)
    assert isinstance(read, OpenaiSettings)
    assert (read.max_in_flight, read.timeout_seconds, read.retries, read.prompt) == (64, 120, 6, "token_ids")


@pytest.fixture
def refiner(tiny: Path, tmp_path: Path) -> Path:
    """The refiner's own files, without weights."""
    folder = Path(shutil.copytree(tiny, tmp_path / "refiner"))
    (folder / "model.safetensors").unlink()
    return folder


def test_weights_are_not_needed_and_the_endpoints_model_is_in_the_fingerprint(refiner: Path, tiny: Path) -> None:
    one = fingerprint(load_refiner("chunk", settings("http://a/v1", refiner=str(refiner))))
    assert fingerprint(load_refiner("chunk", settings("http://b/v1", refiner=str(tiny)))) == one
    others = [
        settings("http://a/v1", refiner=str(refiner), model="n"),
        settings("http://a/v1", refiner=str(refiner), prompt="text"),
        VllmSettings(kind="vllm", model=str(tiny)),
    ]
    assert len({one, *(fingerprint(load_refiner("chunk", other)) for other in others)}) == 4


def test_a_token_classifier_is_refused_at_planning(refiner: Path) -> None:
    stage = {"template": "lines/1", "window": 100, "label": "keep"}
    (refiner / "refiner.json").write_text(json.dumps({"name": "x", "context": 2048, "chunk": stage}))
    config = json.loads((refiner / "config.json").read_text())
    (refiner / "config.json").write_text(json.dumps({**config, "id2label": {"0": "drop", "1": "keep"}}))
    with pytest.raises(RefinerError, match=r"token classifier.*vllm or transformers"):
        plan_stage("chunk", ChunkConfig(engine=settings("http://a/v1", refiner=str(refiner))))


def test_rows_have_confidences_where_there_are_ids_and_counts_where_there_are_none(
    endpoint: Endpoint, refiner: Path
) -> None:
    program = "remove_lines(start=0, end=0)"
    ids = PromptTokenizer(refiner).pieces([program])[0].tolist()
    columns = {"doc_id": ["d"], "content_hash": ["h"], "unit": pa.array([0], pa.int64()), "text": ["Menu\nA page."]}
    batch = pa.RecordBatch.from_pydict(columns)

    def row(stage: str) -> dict[str, Any]:
        used = settings(endpoint.url, refiner=str(refiner))
        config = ChunkConfig(engine=used) if stage == "chunk" else DocumentConfig(engine=used)
        (out,) = generate_programs(iter([batch]), plan_stage(stage, config))  # type: ignore[arg-type]
        return dict(out.to_pylist()[0])

    endpoint.usual = answers(program, token_ids=ids, logprobs={"token_logprobs": [-0.01] * len(ids)})
    found = row("chunk")
    assert (found["status"], found["output"], found["output_tokens"]) == ("ok", program, len(ids))
    assert 0.5 < found["calls"][0]["confidence"] < 1
    endpoint.usual = answers(program, usage=17)
    found = row("chunk")
    assert (found["status"], found["output"], found["output_tokens"]) == ("ok", program, 17)
    assert found["calls"][0]["confidence"] is None
    keep, drop = PromptTokenizer(refiner).decision_ids(("keep", "drop"))
    endpoint.usual = decides({f"token_id:{keep}": -1.0, f"token_id:{drop}": -1.0})
    found = row("document")
    assert (found["status"], found["keep_score"], found["output_tokens"]) == ("ok", 0.5, 0)


@pytest.mark.parametrize(("server", "held"), [("OpenAI, chat model", False), ("Ollama", False), ("llama.cpp", True)])
def test_rows_come_from_servers_that_take_less(
    endpoint: Endpoint, refiner: Path, server: str, held: bool, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.about, endpoint.usual = lambda payload: None, SERVERS[server].behave
    columns = {"doc_id": ["d"], "content_hash": ["h"], "unit": pa.array([0], pa.int64()), "text": ["Menu\nA page."]}
    config = ChunkConfig(engine=settings(endpoint.url, refiner=str(refiner)), grammar=True)
    with caplog.at_level("WARNING", "prox_spark"):
        (out,) = generate_programs(iter([pa.RecordBatch.from_pydict(columns)]), plan_stage("chunk", config))
    (row,) = out.to_pylist()
    assert (row["status"], row["output"], row["output_tokens"]) == ("ok", PROGRAM, 5)
    assert ("holds answers to no grammar" in caplog.text) is not held
    last = endpoint.seen[-1]
    prompt = last["prompt"] if "prompt" in last else last["messages"][0]["content"]
    assert isinstance(prompt, list) or ("[000]Menu\n[001]A page.\n" in prompt and "<s>" not in prompt)
