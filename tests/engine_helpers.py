"""What tests of a shared engine look at: its supervisor's process, and the rows of a stage that runs on it."""

import os
import signal
import socket
import struct
import time
from typing import Any

import pyarrow as pa

from prox_spark.config.engines import EngineSettings
from prox_spark.config.models import ChunkConfig, DocumentConfig
from prox_spark.engines.supervised.devices import find_slot
from prox_spark.engines.supervised.place import Owner, connect, find_owner, place
from prox_spark.generation.plan import plan_stage
from prox_spark.generation.task import generate_programs


def server(owner: Owner) -> int | None:
    """Process id of the owner's supervisor."""
    connected = connect(place(owner, find_slot(None)))
    if connected is None:
        return None
    with connected:
        credentials = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[0])


def end_engine() -> None:
    """Kill this process's engine, where it has one, and wait until nothing listens in its place."""
    pid = server(find_owner())
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
        while server(find_owner()) is not None:
            time.sleep(0.05)


def run(stage: Any, engine: EngineSettings, texts: list[str], **more: Any) -> dict[tuple[str, int], dict[str, Any]]:
    """All rows of a stage, by document and chunk; ``more`` are settings of the stage."""
    section = DocumentConfig if stage == "document" else ChunkConfig
    plan = plan_stage(stage, section(engine=engine, **more))
    ids = [f"d{n}" for n in range(len(texts))]
    columns = {"doc_id": ids, "content_hash": ids, "unit": pa.array([0] * len(ids), pa.int64()), "text": texts}
    batches = generate_programs(iter([pa.RecordBatch.from_pydict(columns)]), plan)
    return {(row["doc_id"], row["chunk"]): row for batch in batches for row in batch.to_pylist()}
