#!/usr/bin/env bash
# Init script of the GPU cluster: vLLM for the runtime's Python, on every node, before Spark starts.
set -euo pipefail
python=/databricks/python/bin/python
# What the wheel's extra `gpu` asks for; Spark and Delta stay the runtime's.
"$python" -m pip install --quiet --disable-pip-version-check "vllm>=0.32"
"$python" -c "import vllm"
nvidia-smi --list-gpus
