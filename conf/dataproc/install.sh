#!/usr/bin/env bash
# Initialization action for every node: unpacks the environment that the cluster's metadata `prox-environment` names.
set -euo pipefail
environment=$(/usr/share/google/get_metadata_value attributes/prox-environment)

mkdir -p /opt/prox-spark
gcloud storage cat "$environment" | tar -xz -C /opt/prox-spark
/opt/prox-spark/bin/python3 -c "import prox_spark"
