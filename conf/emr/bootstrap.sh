#!/usr/bin/env bash
# Bootstrap action, on every node: bootstrap.sh s3://…/environment-gpu.tar.gz
set -euo pipefail
environment=$1

sudo mkdir -p /opt/prox-spark
aws s3 cp --quiet "$environment" - | sudo tar -xz -C /opt/prox-spark
/opt/prox-spark/bin/python3 -c "import prox_spark"

# YARN keeps a container's GPU to itself through the devices controller of CGroup v1; where the system mounts only v2 it
# needs one of its own. Its path is the one in cluster.json.
sudo mkdir -p /yarn-cgroup/devices
sudo mount -t cgroup -o devices yarn-devices /yarn-cgroup/devices
sudo chmod -R a+rwx /yarn-cgroup
