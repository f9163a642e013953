#!/usr/bin/env bash
# Lists a worker's GPUs for Spark: spark.executor.resource.gpu.discoveryScript and spark.worker.resource.gpu.discoveryScript.
set -euo pipefail
addresses=$(nvidia-smi --query-gpu=index --format=csv,noheader | sed 's/.*/"&"/' | paste -sd, -)
echo "{\"name\": \"gpu\", \"addresses\": [$addresses]}"
