# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["datatrove[io,processing,inference]==0.10.1", "spacy==3.8.18"]
# ///
"""datatrove: its quality filters, its inference runner against an endpoint, and trafilatura on WARC files."""

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.readers import JsonlReader, WarcReader
from datatrove.pipeline.writers import JsonlWriter

HOLDS = {
    "log": "documents dropped, each with its filter's reason",
    "versions": "none",
    "resumes": "tasks that are not done; chunks of an inference task",
}


def rules(source, target):
    from datatrove.pipeline import filters

    names = ("GopherRepetitionFilter", "GopherQualityFilter", "C4QualityFilter", "FineWebQualityFilter")
    steps = [
        getattr(filters, name)(exclusion_writer=JsonlWriter(f"{target}/excluded/{name}", compression=None))
        for name in names
    ]
    return [JsonlReader(f"{source}/pages"), *steps]


def html(source, target):
    from datatrove.pipeline.extractors import Trafilatura

    return [WarcReader(f"{source}/html"), Trafilatura(timeout=10)]


async def ask(document, generate):
    answer = await generate({"messages": [{"role": "user", "content": document.text}], "max_tokens": 64})
    return {"output": answer.text}


def endpoint(source, target):
    from datatrove.pipeline.inference.run_inference import InferenceConfig, InferenceRunner

    address = Path(source, "address").read_text()
    config = InferenceConfig("endpoint", "model", endpoint_url=address, max_concurrent_generations=64)
    writer = JsonlWriter(f"{target}/answers", output_filename="${rank}_${chunk_index}.jsonl", compression=None)
    runner = InferenceRunner(ask, config, writer, checkpoints_local_dir=f"{target}/checkpoints", records_per_chunk=1000)
    return [JsonlReader(f"{source}/prompts"), runner]


def main():
    work, source, target = sys.argv[1:]
    cores = os.cpu_count()
    steps = {"rules": rules, "html": html, "endpoint": endpoint}[work](source, target)
    if work != "endpoint":
        steps.append(JsonlWriter(f"{target}/kept", compression=None))
    LocalPipelineExecutor(steps, tasks=cores, workers=cores, logging_dir=f"{target}/logs").run()
    print(json.dumps({"version": version("datatrove"), **HOLDS}))


if __name__ == "__main__":
    main()
