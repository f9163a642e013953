"""Shared by all benchmarks: the description of the machine, and the output of results."""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"
"""The measurement data beside the checkout."""


def machine() -> dict[str, Any]:
    """Processor, cores, memory, Python and date."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gib": round(pages * size / 2**30, 1),
        "python": platform.python_version(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def cpu_seconds(function: Callable[[], object]) -> float:
    """Processor time of a call, which other work on the machine affects little."""
    start = time.process_time()
    function()
    return time.process_time() - start


def seconds(function: Callable[[], object]) -> float:
    """Wall-clock time of a call."""
    started = time.monotonic()
    function()
    return time.monotonic() - started


def arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser with the option common to all benchmarks."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", choices=("text", "json"), default="text")
    return parser


def report(result: dict[str, Any], output: str) -> None:
    """Print a result and the machine, as lines or as one JSON document."""
    document = {**result, "machine": machine()}
    if output == "json":
        print(json.dumps(document, indent=2))
        return
    for key, value in document.items():
        print(f"{key:>40}  {value:,.2f}" if isinstance(value, float) else f"{key:>40}  {value}")
