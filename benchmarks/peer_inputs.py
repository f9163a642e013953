"""Inputs of ``peers.py``: the same pages in the form that each work reads, and a server that answers at once."""

import asyncio
import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from corpus import documents
from timing import SHARED

FILES = 8
"""Files of a corpus."""

HIDDEN, OUTPUT_TOKENS = 256, 24
CONTEXT = 2048
PROGRAM = "remove_lines(start=0, end=1)\nremove_lines(start=4, end=4)"
LINES_A_CHUNK = 60


def prepare(work: str, count: int, folder: Path, address: str) -> Path:
    """A folder with ``count`` pages as ``work`` reads them."""
    folder.mkdir()
    texts = list(documents(count))
    if work == "programs":
        write_programs(folder / "programs.parquet", texts)
    elif work == "html":
        from extractors import write_archive

        (folder / "html").mkdir()
        for number in range(2):
            write_archive(folder / "html" / f"{number}.warc.gz", count // 2)
    else:
        write_pages(folder / "pages", texts)
    if work in ("model", "endpoint"):
        if not (SHARED / "tokenizers").is_dir():
            raise SystemExit("the tokenizer of the released models (../shared) is not beside this checkout")
        write_model(folder, texts)
        (folder / "address").write_text(address)
    return folder


def write_pages(folder: Path, texts: list[str]) -> None:
    folder.mkdir()
    for number in range(FILES):
        rows = ({"id": str(page), "text": texts[page]} for page in range(number, len(texts), FILES))
        with gzip.open(folder / f"{number}.json.gz", "wt", compresslevel=1) as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)


def write_model(folder: Path, texts: list[str]) -> None:
    """A random Llama, the options of its engine, and the prompts of all chunks as the released chunk refiner is asked."""
    from engine import build_model

    from prox_spark.config import load_config
    from prox_spark.generation.plan import plan_stages
    from prox_spark.generation.prompts import Prompter
    from prox_spark.generation.tokens import PromptTokenizer

    model = build_model(folder / "model", HIDDEN, OUTPUT_TOKENS)
    options = {"dtype": "float32", "max_model_len": CONTEXT, "enable_prefix_caching": False, "enforce_eager": True}
    (folder / "engine.json").write_text(json.dumps({"engine": options, "max_tokens": OUTPUT_TOKENS}))
    own = [f"store={folder}/none", "input.path=none", "input.format=json", "document=null"]
    engine = ["chunk.engine.kind=vllm", f"chunk.engine.model={model}", 'chunk.engine.options={"dtype": "float32"}']
    plan = plan_stages(load_config(None, [*own, *engine])).chunk
    assert plan is not None
    tokenizer = PromptTokenizer(model)
    prompter = Prompter(plan.refiner, tokenizer)
    rows = []
    for start in range(0, len(texts), 100):
        for page, asked in enumerate(prompter.ask(texts[start : start + 100]), start):
            for chunk in range(len(asked.chunks)):
                ids = prompter.request(0, asked, chunk).token_ids
                rows.append({"id": f"{page}-{chunk}", "page": str(page), "text": tokenizer.decode(list(ids or ()))})
    (folder / "prompts").mkdir()
    for number in range(FILES):
        lines = (json.dumps(row) + "\n" for row in rows[number::FILES])
        (folder / "prompts" / f"{number}.jsonl").write_text("".join(lines))


def write_programs(path: Path, texts: list[str]) -> None:
    """Pages with the programs of their chunks: a run of lines to remove in each chunk, and sometimes another."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    chunk = pa.struct([("line_start", pa.int64()), ("line_end", pa.int64()), ("output", pa.string())])
    schema = pa.schema([("id", pa.string()), ("text", pa.string()), ("programs", pa.list_(chunk))])
    rng = Random(0)
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(texts), 1000):
            rows = [
                {"id": str(start + number), "text": text, "programs": programs(text, rng)}
                for number, text in enumerate(texts[start : start + 1000])
            ]
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema))


def programs(text: str, rng: Random) -> list[dict[str, Any]]:
    made, last = [], text.count("\n")
    for low in range(0, last + 1, LINES_A_CHUNK):
        high = min(low + LINES_A_CHUNK - 1, last)
        calls = []
        for _ in range(rng.randint(1, 3)):
            first = rng.randint(low, high)
            calls.append(f"remove_lines(start={first}, end={min(first + rng.randint(0, 5), high)})")
        made.append({"line_start": low, "line_end": high, "output": "\n".join(calls)})
    return made


@contextmanager
def answering() -> Iterator[str]:
    """The address of an OpenAI-compatible server on the loopback that answers every prompt at once with one program."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(_serve, "127.0.0.1", 0, limit=1 << 22))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": OUTPUT_TOKENS, "total_tokens": 1000 + OUTPUT_TOKENS}
    said = {"finish_reason": "stop", "index": 0, "text": PROGRAM, "message": {"role": "assistant", "content": PROGRAM}}
    answer = {"id": "1", "object": "completion", "created": 0, "model": "model", "choices": [said], "usage": usage}
    models = {"object": "list", "data": [{"id": "model", "object": "model"}]}
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            size = head.partition(b"content-length:")[2].split(b"\r\n")[0].strip()
            if size:
                await reader.readexactly(int(size))
            body = json.dumps(answer if head.startswith(b"post") else models).encode()
            fields = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(b"HTTP/1.1 200 OK\r\n" + fields.encode() + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
