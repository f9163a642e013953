"""Stores on S3: a server of moto's on loopback, which Hadoop's own client (``s3a``) and pyarrow see alike."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pyspark
import pytest
import submitting
from cluster_processes import free_port, listens
from processes import started, wait_for
from pyarrow import fs

import prox_spark

BUCKET = "corpora"
KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}

LOGGING = Path(prox_spark.__file__).with_name("log4j2.properties")

COMMANDS = """
import contextlib, io, json, sys
from prox_spark.cli import main

answers = []
for words in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = main([*words, "--output", "json"])
    assert code == 0, words
    answers.append(json.loads(out.getvalue()))
with open(sys.argv[2], "w") as file:
    json.dump(answers, file)
"""


@contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """The URL of an S3 server with one empty bucket."""
    port = free_port()
    with started([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], folder / "s3.log"):
        wait_for(lambda: listens(port), "the server listens")
        url = f"http://127.0.0.1:{port}"
        bucket(url).create_dir(BUCKET)
        yield url


def submit_command(endpoint: str, folder: Path, more: dict[str, str]) -> list[str]:
    """``spark-submit`` with Hadoop's S3 client and ``more`` properties; a script and its arguments follow.

    Skips the test where the client cannot be fetched.
    """
    (client,) = (Path(pyspark.__file__).parent / "jars").glob("hadoop-client-api-*.jar")
    package = f"org.apache.hadoop:hadoop-aws:{client.stem.rpartition('-')[2]}"
    script = folder / "nothing.py"
    script.write_text("")
    settings = {
        "spark.sql.shuffle.partitions": "2",
        "spark.driver.memory": "3g",
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={LOGGING}",
        "spark.jars.packages": package,
        "spark.hadoop.fs.s3a.endpoint": endpoint,
        "spark.hadoop.fs.s3a.path.style.access": "true",
        **more,
    }
    words = submitting.command("local[2]", settings)
    tried = subprocess.run(
        [*words, str(script)], capture_output=True, text=True, env=environment(endpoint), check=False
    )
    if "unresolved dependency" in tried.stdout + tried.stderr:
        pytest.skip(f"{package} could not be fetched")
    assert tried.returncode == 0, tried.stderr[-3000:]
    return words


def environment(endpoint: str) -> dict[str, str]:
    """What pyarrow and Hadoop find S3 and its keys by."""
    return submitting.environment() | KEYS | {"AWS_ENDPOINT_URL": endpoint, "PYTHONPATH": str(submitting.ROOT)}


def bucket(endpoint: str) -> fs.S3FileSystem:
    """The same server, for this process."""
    return fs.S3FileSystem(
        access_key="a",
        secret_key="b",
        region="us-east-1",
        scheme="http",
        endpoint_override=endpoint.removeprefix("http://"),
        allow_bucket_creation=True,
    )


def objects(endpoint: str, folder: str) -> dict[str, bytes]:
    """Every object below a folder of the bucket, by its name there."""
    files = bucket(endpoint)
    found = files.get_file_info(fs.FileSelector(f"{BUCKET}/{folder}", recursive=True, allow_not_found=True))
    return {
        info.path.removeprefix(f"{BUCKET}/{folder}/"): files.open_input_file(info.path).read()
        for info in found
        if info.is_file
    }


def said(content: bytes) -> str:
    """What an object holds, Parquet uncompressed."""
    if content[:4] != b"PAR1":
        return content.decode("utf-8", "replace")
    return str(pq.read_table(io.BytesIO(content)).to_pylist())


def run(submit: list[str], endpoint: str, folder: Path, *commands: list[str], first: str = "") -> list[Any] | None:
    """What each of these commands of ``prox-spark`` answers, all in one process; None where ``first`` made that die.

    What they printed beside it is in the file ``log`` of the folder.
    """
    script, answers = folder / "commands.py", folder / "answers.json"
    script.write_text(first + COMMANDS)
    words = [*submit, str(script), json.dumps(commands), str(answers)]
    done = subprocess.run(words, capture_output=True, text=True, env=environment(endpoint), check=False)
    if first:
        assert done.returncode != 0
        return None
    (folder / "log").write_text(done.stdout + done.stderr)
    # Spark prints there what Python says on either stream.
    assert done.returncode == 0, done.stdout[-3000:]
    answered: list[Any] = json.loads(answers.read_text())
    return answered
