#!/usr/bin/env bash
# Init script of the GPU cluster: installs vLLM into the runtime's Python on every node, before Spark starts.
set -euo pipefail
python=/databricks/python/bin/python
# The requirements of the wheel's extra `gpu`; Spark and Delta come from the runtime.
"$python" -m pip install --quiet --disable-pip-version-check "vllm>=0.32,<0.33" "accelerate>=1.1"
"$python" -c "import vllm"
nvidia-smi --list-gpus
