#!/usr/bin/env bash
# Bootstrap action for every node: bootstrap.sh s3://…/environment-gpu.tar.gz
set -euo pipefail
environment=$1

sudo mkdir -p /opt/prox-spark
aws s3 cp --quiet "$environment" - | sudo tar -xz -C /opt/prox-spark
/opt/prox-spark/bin/python3 -c "import prox_spark"

# YARN isolates the GPUs of containers with the devices controller of CGroup v1. A system with only CGroup v2 needs a separate
# mount of it. The path is the one in cluster.json.
sudo mkdir -p /yarn-cgroup/devices
sudo mount -t cgroup -o devices yarn-devices /yarn-cgroup/devices
sudo chmod -R a+rwx /yarn-cgroup
