#!/usr/bin/env bash
# An environment with another version of Spark: scripts/lane.sh 3.5 makes .venv-spark-3.5 beside .venv and prints its name.
set -euo pipefail
spark=${1:?usage: scripts/lane.sh SPARK, one of $(cd constraints && echo spark-*.txt)}
pins=constraints/spark-$spark.txt
[ -f "$pins" ] || { echo "lane: no pins for Spark $spark: there are $(cd constraints && echo spark-*.txt)" >&2; exit 1; }
.venv/bin/python - "$spark" <<'PYTHON'
import platform, sys
from prox_spark.supported import what_to_do
sys.exit(what_to_do(sys.argv[1], None, platform.python_version()) or 0)
PYTHON
venv=.venv-spark-$spark
uv=.venv/bin/uv
# PySpark is 400 MB: a slow network needs longer than half a minute without an answer.
export UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-300}
[ -x "$venv/bin/python" ] || .venv/bin/python -m venv "$venv"
# The exact versions of the main environment, but for Spark and Delta.
others=$(mktemp)
trap 'rm -f "$others"' EXIT
grep -vE '^(pyspark|delta-spark|py4j)==' constraints.txt > "$others"
# setuptools: PySpark 3.5 imports distutils, which Python 3.12 lacks.
"$uv" pip install --quiet --python "$venv/bin/python" --constraint "$others" --editable '.[report]' \
    --requirements "$pins" setuptools hypothesis pytest pytest-timeout
"$venv/bin/python" -m prox_spark.warm
"$venv/bin/python" -c 'from prox_spark.jars import delta_jars; delta_jars()'
echo "$venv"
