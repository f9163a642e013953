#!/usr/bin/env bash
# Lists a worker's GPUs for Spark: spark.executor.resource.gpu.discoveryScript and spark.worker.resource.gpu.discoveryScript.
# Where CUDA_VISIBLE_DEVICES narrows them down, under the names that it gives them: engines accept no other GPU.
set -euo pipefail
if [[ -n ${CUDA_VISIBLE_DEVICES+given} ]]; then
    names=$(tr , '\n' <<< "$CUDA_VISIBLE_DEVICES" | sed '/^ *-1 *$/d; /^ *NoDevFiles *$/d; /^ *$/d')
else
    names=$(nvidia-smi --query-gpu=index --format=csv,noheader)
fi
addresses=$(sed -n 's/^ *\([^ ]\+\) *$/"\1"/p' <<< "$names" | paste -sd, -)
echo "{\"name\": \"gpu\", \"addresses\": [$addresses]}"
