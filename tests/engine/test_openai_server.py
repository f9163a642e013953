"""The openai engine against vLLM's own server: the same answers as the engine that runs in the executor.

The reference is ``transformers``, which loads in seconds; both run in float32, so that ties are the only difference that
could be left. Slow: vLLM's server takes a minute and a half to start and to end on two cores.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from processes import members, wait_for

from prox_spark.annotation.answers import read_scores
from prox_spark.annotation.prompts import load_prompt
from prox_spark.config.engines import EndpointSettings, EngineSettings, OpenaiSettings, TransformersSettings
from prox_spark.config.models import ChunkConfig, DocumentConfig
from prox_spark.engines.endpoint.chat import ChatEngine, ChatRequest
from prox_spark.engines.endpoint.engine import OpenaiEngine
from prox_spark.engines.protocol import Engine
from prox_spark.engines.supervised import wire
from prox_spark.engines.supervised.client import SupervisedEngine
from prox_spark.engines.supervised.place import find_owner, place
from prox_spark.engines.supervised.vllm_backend import environment
from prox_spark.engines.tiny import build_tiny_model
from prox_spark.errors import EngineError
from prox_spark.generation.plan import plan_stage
from prox_spark.generation.task import run_stage
from prox_spark.generation.tokens import PromptTokenizer
from prox_spark.programs import parse

pytestmark = [pytest.mark.engine, pytest.mark.slow]

TEXT = "Home About Contact\nThis page tells of a house by the sea, and of who lived there.\nWe use cookies. Accept\n"
TEXTS = [TEXT * n for n in (1, 2, 5, 60)]

Rows = dict[tuple[str, int], dict[str, Any]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("tiny"), [TEXT + "remove_lines keep_doc drop_doc untouch_doc\n"])


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen[bytes]
    port: int
    log: Path


@pytest.fixture(scope="module")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """vLLM's server as it starts; its whole process group is gone afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log"
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    command += ["--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port)]
    form = log.with_name("chat.jinja")
    form.write_text("{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}")
    command += ["--chat-template", str(form)]
    command += ["--dtype", "float32", "--enforce-eager", "--max-model-len", "2048"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, env=environment(dict(os.environ), "cpu"), start_new_session=True
        )
    try:
        yield Server(process, port, log)
    finally:
        # Asked first, so that it takes its shared memory with it.
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)
        wait_for(lambda: not members(process.pid), "every process of the server ends")


@pytest.fixture(scope="module")
def url(server: Server) -> str:
    """The address of the server once it answers."""
    wait_for(lambda: healthy(server.port) or server.process.poll() is not None, "vLLM's server is healthy", 300)
    assert server.process.poll() is None, server.log.read_text()[-3000:]
    return f"http://127.0.0.1:{server.port}/v1"


def healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def rows(stage: Any, settings: EngineSettings, engine: Engine) -> Rows:
    """All rows of a stage, by document and chunk."""
    plan = plan_stage(stage, DocumentConfig(engine=settings) if stage == "document" else ChunkConfig(engine=settings))
    ids = [f"d{n}" for n in range(len(TEXTS))]
    columns = {"doc_id": ids, "content_hash": ids, "unit": pa.array([0] * len(ids), pa.int64()), "text": TEXTS}
    batches = run_stage(iter([pa.RecordBatch.from_pydict(columns)]), plan, engine)
    return {(row["doc_id"], row["chunk"]): row for batch in batches for row in batch.to_pylist()}


@pytest.fixture(scope="module")
def reference(model: Path, server: Server) -> dict[str, Rows]:
    """The rows of both stages by ``transformers``, made while the server starts."""
    settings = TransformersSettings(kind="transformers", model=str(model))
    hello = wire.Hello(backend="transformers", model=str(model), context=2048, options={})
    engine = SupervisedEngine(hello, idle_seconds=0.5)
    found = {stage: rows(stage, settings, engine) for stage in ("document", "chunk")}
    engine.close()
    wait_for(lambda: not place(find_owner(), "cpu").socket.exists(), "the idle engine ends")
    return found


def asked(model: Path, url: str, stage: str, **more: Any) -> Rows:
    settings = OpenaiSettings(kind="openai", model="tiny", base_url=url, refiner=str(model), **more)
    return rows(stage, settings, OpenaiEngine(settings, PromptTokenizer(model).decode))


def test_decisions_are_those_of_the_engine_in_the_executor(reference: dict[str, Rows], model: Path, url: str) -> None:
    found = asked(model, url, "document")
    assert found.keys() == reference["document"].keys()
    for key, row in found.items():
        assert (row["status"], row["error"]) == ("ok", None)
        assert row["keep_score"] == pytest.approx(reference["document"][key]["keep_score"], abs=1e-3)


def test_programs_under_the_grammar_are_too_with_their_tokens_and_confidences(
    reference: dict[str, Rows], model: Path, url: str
) -> None:
    found = asked(model, url, "chunk")
    assert found.keys() == reference["chunk"].keys()
    assert len(found) > len(TEXTS)
    for key, row in found.items():
        other = reference["chunk"][key]
        assert (row["status"], row["error"]) == (other["status"], None)
        assert row["output"] == other["output"]
        assert row["output_tokens"] == other["output_tokens"] > 0
        confidences = [call["confidence"] for call in row["calls"]]
        assert confidences == pytest.approx([call["confidence"] for call in other["calls"]], abs=1e-3)


def test_prompts_as_text_are_answered_under_the_grammar(model: Path, url: str) -> None:
    for row in asked(model, url, "chunk", prompt="text").values():
        assert row["status"] in ("ok", "truncated")
        assert 0 < row["output_tokens"] <= 48
        calls = parse(row["output"]).calls
        assert all(call.outcome == "ok" for call in (calls[:-1] if row["status"] == "truncated" else calls))


def test_a_model_that_is_not_served_is_named(model: Path, url: str) -> None:
    settings = OpenaiSettings(kind="openai", model="large", base_url=url, refiner=str(model))
    with pytest.raises(EngineError, match=r"has no model 'large' \(404: .*large.*check engine\.model"):
        rows("document", settings, OpenaiEngine(settings, PromptTokenizer(model).decode))


def test_a_conversation_is_held_to_its_schema(url: str) -> None:
    """The model knows nothing: what it says fits the schema because the server holds it to that."""
    whole = load_prompt("scores", 1000).schema
    marks = {name: whole["properties"][name] for name in ("edu", "format")}
    schema = {**whole, "properties": marks, "required": list(marks)}
    settings = EndpointSettings(model="tiny", base_url=url)
    parameters = {"temperature": 0.0, "max_tokens": 64}
    engine = ChatEngine(settings, structured=True, parameters=parameters, section="annotate")
    asked = (
        ChatRequest(n, ({"role": "user", "content": text[:300]},), "scores", schema) for n, text in enumerate(TEXTS)
    )

    replies = sorted(engine.stream(asked), key=lambda reply: reply.id)

    assert [reply.id for reply in replies] == list(range(len(TEXTS)))
    for reply in replies:
        assert reply.prompt_tokens
        assert 0 < (reply.output_tokens or 0) <= 64
        # Spaces are free between the parts: a model that writes nothing else is cut off.
        assert reply.outcome in ("text", "cut")
        if reply.outcome == "text":
            read_scores(reply.text)
