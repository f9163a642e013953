"""A store on a disk that fills up in mid-commit: readers keep the version before, and with room the job ends as it should.

Slow: three runs of the command, each with a JVM of its own, on a file system of a few megabytes.
"""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from claims import PROSE, check_conservation, check_once, check_rederivation
from processes import COMMAND

from prox_spark.config import load_config
from prox_spark.versions.sql import query

pytestmark = pytest.mark.slow

SCRIPT = """
set -eu
mount -t tmpfs -o size={small} tmpfs {disk}
cp -a {empty} {disk}/store
{command}
cp {late} {corpus}/late.json
code=0; {command} || code=$?
echo "code $code"
df {disk} | tail -1
cp -a {disk}/store {folder}/full
mount -o remount,size=1g {disk}
{command}
cp -a {disk}/store {folder}/whole
"""


def write_pages(path: Path, first: int, count: int, characters: int) -> None:
    """Pages that do not compress: letters in a random order."""
    letters = random.Random(first)
    with path.open("w") as file:
        for number in range(first, first + count):
            noise = "".join(letters.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=characters))
            file.write(json.dumps({"id": str(number), "text": f"Page {number}\n{PROSE}\n{noise}\nAccept"}) + "\n")


def test_a_full_disk_costs_the_new_version_only(spark: Any, empty_store: Path, tmp_path: Path) -> None:
    namespace = ["unshare", "--user", "--map-root-user", "--mount"]
    probe = [*namespace, "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)]
    if shutil.which("unshare") is None or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("this machine lets its users mount no file system of their own")
    for name in ("disk", "corpus"):
        (tmp_path / name).mkdir()
    write_pages(tmp_path / "corpus" / "early.json", 0, 4, 100)
    # Documents fit the disk beside their refined texts only once.
    write_pages(tmp_path / "late.json", 4, 40, 100_000)
    settings = {
        "store": str(tmp_path / "disk" / "store"),
        "refinement": "full",
        "input": {"path": str(tmp_path / "corpus"), "format": "json"},
        "chunk": {"engine": {"kind": "scripted", "default": "remove_lines(start=3, end=3)"}},
        "spark": {"spark.master": "local[2]", "spark.driver.memory": "1g"},
    }
    config = tmp_path / "job.yaml"
    config.write_text(yaml.safe_dump(settings))
    values = {
        "small": "5m",
        "disk": tmp_path / "disk",
        "empty": empty_store,
        "folder": tmp_path,
        "late": tmp_path / "late.json",
        "corpus": tmp_path / "corpus",
        "command": f"{COMMAND} refine --config {config}",
    }
    done = subprocess.run(
        [*namespace, "bash", "-c", SCRIPT.format(**values)], capture_output=True, text=True, timeout=600, check=False
    )
    sys.stdout.write(done.stdout)

    assert done.returncode == 0, done.stderr
    assert "code 1" in done.stdout
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    full = load_config(config, [f"store={tmp_path / 'full'}"])
    assert query(spark, full.store, "SELECT version FROM refinements").first()[0] == 0
    assert query(spark, full.store, "SELECT count(*) FROM refined").first()[0] == 4
    whole = load_config(config, [f"store={tmp_path / 'whole'}"])
    check_once(spark, whole)
    assert check_conservation(spark, whole).documents == 44
    assert check_rederivation(spark, whole) == 44
