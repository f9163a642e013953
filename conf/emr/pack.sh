#!/usr/bin/env bash
# Builds in build/emr the files that a cluster reads from S3: conf/emr/pack.sh cpu, conf/emr/pack.sh gpu, or both.
# An environment is a complete, relocatable Python with the package; Spark and Delta come from the platform.
# Run it on Linux with the cluster's processor architecture.
set -euo pipefail
fail() { echo "pack: $*" >&2; exit 1; }

[ $# -gt 0 ] || fail "say cpu, gpu or both"
for kind in "$@"; do
    case $kind in
        cpu | gpu) ;;
        *) fail "$kind: only cpu and gpu are known" ;;
    esac
done
command -v uv >/dev/null || fail "uv is missing: python -m pip install uv"

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
out=$project/build/emr
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

rm -rf "$out/jobs"
mkdir -p "$out/jobs"
cp "$project"/jobs/*.py "$out/jobs/"
cp "$project/conf/emr/bootstrap.sh" "$out/"
pack() { tar -czf "$out/$1" --owner=0 --group=0 --mode=a+rX "${@:3}" -C "$2" .; }
# Some of its files are links into the package.
pack conf.tar.gz "$project/conf" --dereference

uv build --quiet --wheel --out-dir "$scratch" "$project" || fail "uv cannot build the wheel: run uv build --wheel to see why"
wheel=$(echo "$scratch"/prox_spark-*.whl)
# Not in the project's folder: its uv overrides are for the CPU build of vLLM.
cd "$scratch"
for kind in "$@"; do
    uv python install --quiet --no-bin --install-dir "$scratch/$kind" 3.11 ||
        fail "uv cannot download Python 3.11: run uv python install 3.11 to see why"
    home=$(dirname "$(dirname "$(find "$scratch/$kind" -path '*/bin/python3.11' -not -path '*/.temp/*' | head -n 1)")")
    # The CPU environment runs no model; it reads a refiner's files for programs that an older package wrote.
    extra="[refiner]"
    [ "$kind" = cpu ] || extra="[gpu]"
    uv pip install --quiet --break-system-packages --python "$home/bin/python3.11" "$wheel$extra" ||
        fail "uv cannot install the package with its extra $extra: run it without --quiet to see why"
    pack "environment-$kind.tar.gz" "$home"
done
