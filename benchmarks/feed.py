"""Throughput of the path to an engine and back, without the engine: prompt tokens per second and core.

Pages of ../shared/gold/train.jsonl.zst, tokenised with ../shared/tokenizers/llama-2 in the prompts of the released chunk
refiner, go through a task's code (``run_stage``) over the Unix socket to a real supervisor whose model answers each
prompt at once with a program of two calls; the answers are decoded, parsed and written as Parquet. The figure,
``tokens_per_second_per_core``, counts the processor time of the task and of the supervisor together.
"""

import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from timing import SHARED, arguments, report

PROGRAM = "remove_lines(start=0, end=1)\nremove_lines(start=7, end=7)"
ROWS = 1000

SERVER = """
import asyncio, sys
from prox_spark.engines.supervised import supervisor as server, wire

class AtOnce:
    def __init__(self, hello):
        self.answer_ids = hello.options["answer"]
    async def answer(self, asked):
        return wire.Answer(id=asked.id, token_ids=self.answer_ids, token_logprobs=[-0.01] * len(self.answer_ids))
    def dead(self):
        return None

server.load = AtOnce
server.main(sys.argv[1:])
"""


def pages(limit: int) -> Iterator[pa.RecordBatch]:
    """Documents in batches of ``ROWS``, repeated up to ``limit``."""
    texts = []
    with zstandard.open(SHARED / "gold" / "train.jsonl.zst") as file:
        texts = [json.loads(line)["raw_content"] for line in io.TextIOWrapper(file, encoding="utf-8")]
    for start in range(0, limit, ROWS):
        chosen = [texts[(start + n) % len(texts)] for n in range(min(ROWS, limit - start))]
        ids = [f"d{start + n}" for n in range(len(chosen))]
        unit = pa.array([0] * len(ids), pa.int64())
        yield pa.RecordBatch.from_pydict({"doc_id": ids, "content_hash": ids, "unit": unit, "text": chosen})


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--documents", type=int, default=6000)
    options = parser.parse_args()
    if not (SHARED / "gold").is_dir():
        raise SystemExit("the measurement data (../shared) is not beside this checkout")
    # Tokenisation uses one thread, as in a Spark task with one core.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    from prox_spark.config.engines import VllmSettings
    from prox_spark.engines.supervised import place as runtime
    from prox_spark.engines.supervised import wire
    from prox_spark.engines.supervised.client import SupervisedEngine
    from prox_spark.generation import rows, task
    from prox_spark.generation.plan import StagePlan
    from prox_spark.generation.refiner import Refiner
    from prox_spark.generation.tokens import PromptTokenizer

    folder = SHARED / "tokenizers" / "llama-2"
    refiner = Refiner("chunk", "feed", "model", (), template="prox-plain/1", window=1500, context=2048, max_tokens=256)
    plan = StagePlan("chunk", VllmSettings(kind="vllm", model=str(folder)), refiner, "feed")
    # The tokenizer's folder has no weights, which this benchmark does not need.
    task.refiner_folder = lambda _: folder
    answer = PromptTokenizer(folder).pieces([PROGRAM])[0].tolist()
    hello = wire.Hello(backend="at-once", model=str(folder), context=2048, options={"answer": answer})
    where = runtime.place(runtime.find_owner(), "feed")
    lock = runtime.try_lock(where)
    assert lock is not None, "another run is at it"
    command = [sys.executable, "-c", SERVER, str(where.base), where.slot, str(where.owner.pid)]
    command += [str(where.owner.started), str(lock), "60"]
    subprocess.run(command, pass_fds=(lock,), start_new_session=True, check=True)
    os.close(lock)
    rows.parse_batch(pa.array([PROGRAM]))  # Loads the compiled parser.
    engine = SupervisedEngine(hello, gpu="feed")
    list(task.run_stage(pages(20), plan, engine))
    connection = engine._connection
    assert connection is not None
    supervisor = psutil.Process(connection.peer())

    def spent() -> tuple[float, float]:
        served = supervisor.cpu_times()
        return time.process_time(), served.user + served.system

    batches = list(pages(options.documents))
    began, before = time.monotonic(), spent()
    tokens = chunks = 0
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "programs.parquet"
        with pq.ParquetWriter(path, rows.PROGRAMS) as writer:
            for batch in task.run_stage(iter(batches), plan, engine):
                writer.write_batch(batch)
                tokens += sum(batch.column("prompt_tokens").to_pylist())
                chunks += batch.num_rows
    seconds, after = time.monotonic() - began, spent()
    engine.close()
    supervisor.kill()
    task_seconds, supervisor_seconds = (b - a for a, b in zip(before, after, strict=True))
    result = {
        "tokens_per_second_per_core": tokens / (task_seconds + supervisor_seconds),
        "tokens_per_second_of_the_task": tokens / task_seconds,
        "prompt_tokens": tokens,
        "chunks": chunks,
        "documents": options.documents,
        "task_seconds": task_seconds,
        "supervisor_seconds": supervisor_seconds,
        "wall_seconds": seconds,
        "measured_on": "gold/train.jsonl.zst, Llama 2's tokenizer, window 1,500, an engine that answers at once",
    }
    report({"benchmark": "feed", **result}, options.output)


if __name__ == "__main__":
    main()
