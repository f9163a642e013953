"""Clusters of real processes on this machine: standalone with two workers, a Spark Connect server. No GPU is behind any."""

import socket
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import psutil
import pyspark
import submitting
from processes import started, wait_for

from prox_spark.session import DELTA, LOCAL
from prox_spark.spark_api import spark_version
from prox_spark.supported import SPARKS

ENDPOINT_KEY = "sk-of-the-endpoint-4711"

_MASTER, _WORKERS = "127.0.0.1", ("127.0.0.2", "127.0.0.3")


def environment(home: Path) -> dict[str, str]:
    """As ``submitting.environment``; ``home`` is made a Spark installation.

    Workers write under SPARK_HOME: it is a folder of links, not the installed package.
    """
    home.mkdir()
    for entry in Path(pyspark.__file__).parent.iterdir():
        (home / entry.name).symlink_to(entry)
    spark = {"SPARK_HOME": str(home), "SPARK_SCALA_VERSION": SPARKS[spark_version()].scala}
    return submitting.environment() | spark | {"PYSPARK_DRIVER_PYTHON": sys.executable}


def fake_gpu(folder: Path) -> dict[str, str]:
    """Settings of a cluster whose every executor and worker has one GPU; there is none behind it."""
    script = folder / "discover.sh"
    script.write_text("""#!/bin/sh\necho '{"name": "gpu", "addresses": ["0"]}'\n""")
    script.chmod(0o755)
    of = {"amount": "1", "discoveryScript": str(script)}
    return {f"spark.{who}.resource.gpu.{key}": value for who in ("executor", "worker") for key, value in of.items()}


def free_port() -> int:
    """A port of this machine's loopback that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def listens(port: int) -> bool:
    """Whether somebody listens at this port of the loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def standalone(folder: Path, settings: dict[str, str] | None = None, cores: int = 1) -> Iterator[str]:
    """A standalone cluster of two workers with these properties, on two of this machine's loopback addresses; its URL.

    Spark gives a task's copy to another host only, and all executors of ``local-cluster`` are on one.
    """
    own = environment(folder / "standalone") | {"SPARK_DAEMON_MEMORY": "256m"}
    start = [str(folder / "standalone" / "bin" / "spark-class"), "org.apache.spark.deploy"]
    url = f"spark://{_MASTER}:{free_port()}"
    properties = folder / "worker.properties"
    properties.write_text("".join(f"{key} {value}\n" for key, value in (settings or {}).items()))

    def daemon(name: str, host: str, *arguments: str) -> AbstractContextManager[psutil.Process]:
        words = [start[0], f"{start[1]}.{name.lower()}.{name}", "--host", host, "--webui-port", "0", *arguments]
        return started(words, folder / f"{name}-{host}.log", own | {"SPARK_LOCAL_IP": host})

    with ExitStack() as stack:
        stack.enter_context(daemon("Master", _MASTER, "--port", url.rpartition(":")[2]))
        for host in _WORKERS:
            more = ["-c", str(cores), "-m", "1g", "--properties-file", str(properties), url]
            stack.enter_context(daemon("Worker", host, *more))
        yield url


@contextmanager
def connect_server(
    folder: Path, master: str = "local[2]", more: dict[str, str] | None = None, **environment: str
) -> Iterator[str]:
    """A Spark Connect server with Delta, this checkout's package, ``more`` properties and this environment; its URL."""
    port = free_port()
    settings = {
        **LOCAL,
        **DELTA,
        "spark.sql.shuffle.partitions": "2",
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.driver.memory": "2g",
        **(more or {}),
    }
    command = submitting.command(master, settings)
    command += ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
    own = submitting.environment() | {"SPARK_LOCAL_HOSTNAME": "localhost", "PYTHONPATH": str(submitting.ROOT)}
    with listening(command, folder / "connect.log", own | environment, port):
        yield f"sc://127.0.0.1:{port}"


@contextmanager
def refusing(url: str, folder: Path) -> Iterator[str]:
    """A Spark Connect server that takes few session settings (``refusing_server``), before the one at this URL; its URL."""
    port = free_port()
    command = [sys.executable, str(Path(__file__).with_name("refusing_server.py")), str(port), url]
    with listening(command, folder / "refusing.log", submitting.environment(), port):
        yield f"sc://127.0.0.1:{port}"


@contextmanager
def listening(command: list[str], log: Path, own: dict[str, str], port: int) -> Iterator[None]:
    """A process for the length of the block, which begins once it listens at the port."""
    with started(command, log, own) as server:

        def ready() -> bool:
            assert server.status() != psutil.STATUS_ZOMBIE, log.read_text()[-3000:]
            return listens(port)

        wait_for(ready, "the server listens", 120)
        yield


def remote(url: str) -> dict[str, str]:
    """The environment of a client of a Spark Connect server: there is no Java."""
    return submitting.environment() | {"SPARK_REMOTE": url, "JAVA_HOME": "/nowhere"}
