"""The job's chunk stage compared with bare ``LLM.generate``, and with the way that most Spark jobs call vLLM.

Pages of ../shared/gold/train.jsonl.zst, in the released chunk refiner's prompts (../shared/tokenizers/llama-2, windows of
1,500 tokens), for a random Llama of ``--hidden`` dimensions that writes ``--output-tokens`` for each chunk. Three runs over
the same token ids, one after the other, with the same engine options and threads:

- job: ``prox_spark.generate`` on ``local[2]``, from the search for pending work to the last commit,
- bare: one ``LLM.generate`` over all prompts, in a separate process,
- naive: ``LLM.generate`` once for every ``--batch`` documents, like a UDF that is called with each Arrow batch.

``ratio`` is the job's prompt tokens per second over the bare engine's, ``naive_ratio`` over the naive way's. The engine's start
is not counted in any of them: the job's engine is started before, with a small store.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from timing import SHARED, arguments, report

CONTEXT = 2048
WINDOW = 1500
OPTIONS = {"dtype": "float32"}

BARE = """
import json, sys, time
import numpy as np
from vllm import LLM, SamplingParams

asked = json.loads(sys.stdin.read())
tokens = np.load(asked["prompts"])
prompts = [{"prompt_token_ids": ids.tolist()} for ids in np.split(tokens["ids"], tokens["ends"][:-1])]
llm = LLM(model=asked["model"], max_model_len=asked["context"], enable_prefix_caching=False, enforce_eager=True,
          disable_log_stats=True, **asked["options"])
sampling = SamplingParams(temperature=0.0, max_tokens=asked["max_tokens"], detokenize=False)
llm.generate(prompts[:2], sampling, use_tqdm=False)
found = {}
bounds = {"bare": [0, len(prompts)], "naive": tokens["batches"].tolist()}
for name, edges in bounds.items():
    began = time.monotonic()
    outputs = [o for a, b in zip(edges, edges[1:]) for o in llm.generate(prompts[a:b], sampling, use_tqdm=False)]
    found[name] = [time.monotonic() - began, sum(len(o.outputs[0].token_ids) for o in outputs)]
print("FOUND " + json.dumps(found))
"""


def build_model(folder: Path, hidden: int, output_tokens: int) -> Path:
    """A random Llama with Llama 2's tokenizer and the prompts of the released chunk refiner."""
    from transformers import LlamaConfig, LlamaForCausalLM

    shutil.copytree(SHARED / "tokenizers" / "llama-2", folder)
    layers, heads = 6, hidden // 64
    shape = {"hidden_size": hidden, "intermediate_size": 3 * hidden, "num_hidden_layers": layers}
    config = LlamaConfig(
        **shape, num_attention_heads=heads, num_key_value_heads=heads, vocab_size=32000, max_position_embeddings=CONTEXT
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    stage = {"template": "prox-plain/1", "window": WINDOW, "max_tokens": output_tokens, "numbering": "document"}
    (folder / "refiner.json").write_text(json.dumps({"name": "engine", "context": CONTEXT, "chunk": stage}))
    return folder


def pages(count: int) -> list[str]:
    """``count`` texts of real pages, repeated if necessary."""
    with zstandard.open(SHARED / "gold" / "train.jsonl.zst") as file:
        texts = [json.loads(line)["raw_content"] for line in io.TextIOWrapper(file, encoding="utf-8")]
    return [texts[number % len(texts)] for number in range(count)]


def configure(folder: Path, name: str, texts: Sequence[str], model: Path) -> Any:
    """A store with ``texts``, ready for the chunk stage."""
    from prox_spark.config import load_config

    corpus = folder / f"{name}.json"
    corpus.write_text("".join(json.dumps({"id": str(n), "text": text}) + "\n" for n, text in enumerate(texts)))
    engine = ["chunk.engine.kind=vllm", f"chunk.engine.model={model}", f"chunk.engine.options={json.dumps(OPTIONS)}"]
    generate = ["generate.self_test=false", "document=null"]
    return load_config(
        None, [f"store={folder / name}", f"input.path={corpus}", "input.format=json", *generate, *engine]
    )


def write_prompts(path: Path, plan: Any, texts: Sequence[str], batch: int) -> int:
    """The token ids that the job sends, in the corpus's order, and where each batch of documents ends; their number."""
    from prox_spark.generation.prompts import Prompter
    from prox_spark.generation.tokens import PromptTokenizer

    asker = Prompter(plan.refiner, PromptTokenizer(Path(plan.settings.model)))
    ids, batches = [], [0]
    for start in range(0, len(texts), batch):
        for asked in asker.ask(texts[start : start + batch]):
            ids += [asker.request(0, asked, index).token_ids for index in range(len(asked.chunks))]
        batches.append(len(ids))
    lengths = np.cumsum([len(each) for each in ids])
    np.savez(path, ids=np.concatenate(ids), ends=lengths, batches=np.array(batches))
    return int(lengths[-1])


def run_bare(prompts: Path, model: Path, max_tokens: int) -> dict[str, list[float]]:
    """Seconds and output tokens of ``bare`` and ``naive``."""
    from prox_spark.engines.supervised.vllm_backend import environment

    asked = {"prompts": str(prompts), "model": str(model), "context": CONTEXT, "options": OPTIONS}
    done = subprocess.run(
        [sys.executable, "-c", BARE],
        input=json.dumps(asked | {"max_tokens": max_tokens}),
        capture_output=True,
        text=True,
        env=environment(dict(os.environ), "cpu"),
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    if done.returncode or not lines:
        raise SystemExit(f"the bare engine failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    found: dict[str, list[float]] = json.loads(lines[0].removeprefix("FOUND "))
    return found


def run_job(folder: Path, texts: Sequence[str], model: Path) -> tuple[float, Any]:
    """Seconds and figures of the chunk stage; a small store starts its engine before."""
    from prox_spark import generate, ingest
    from prox_spark.session import get_session

    small, whole = configure(folder, "small", texts[:20], model), configure(folder, "whole", texts, model)
    spark = get_session()
    for config in (small, whole):
        ingest(spark, config)
    generate(spark, small)
    began = time.monotonic()
    (done,) = generate(spark, whole)
    seconds = time.monotonic() - began
    spark.stop()  # The JVM and the engine keep running: they end with this process's gateway.
    return seconds, done


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--documents", type=int, default=200)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--output-tokens", type=int, default=24, help="a program of two or three calls")
    parser.add_argument("--batch", type=int, default=64, help="documents in the naive way's Arrow batches")
    options = parser.parse_args()
    if not (SHARED / "gold").is_dir():
        raise SystemExit("the measurement data (../shared) is not beside this checkout")
    from prox_spark.generation.plan import plan_stages

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = build_model(folder / "model", options.hidden, options.output_tokens)
        texts = pages(options.documents)
        chunk = plan_stages(configure(folder, "prompts", texts[:1], model)).chunk
        tokens = write_prompts(folder / "prompts.npz", chunk, texts, options.batch)
        # Before the job: afterwards its engine would still hold its cores.
        found = run_bare(folder / "prompts.npz", model, options.output_tokens)
        seconds, done = run_job(folder, texts, model)
    assert done.prompt_tokens == tokens, f"the job sent {done.prompt_tokens} prompt tokens, the bare engine {tokens}"
    (bare, bare_output), (naive, _) = found["bare"], found["naive"]
    result = {
        "ratio": bare / seconds,
        "naive_ratio": bare / naive,
        "over_naive": naive / seconds,
        "tokens_per_second": tokens / seconds,
        "seconds": {"job": seconds, "bare": bare, "naive": naive},
        "busy_share": done.engine_busy_seconds / done.engine_seconds,
        "prompt_tokens": tokens,
        "output_tokens": {"job": done.output_tokens, "bare": bare_output},
        "chunks": done.chunks,
        "documents": options.documents,
        "measured_on": f"gold/train.jsonl.zst, random Llama, hidden {options.hidden}, 6 layers, float32",
    }
    report({"benchmark": "engine", **result}, options.output)


if __name__ == "__main__":
    main()
