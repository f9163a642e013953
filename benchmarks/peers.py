"""Other projects on the same work: pages a second for each core, memory, start-up, and what each result holds.

Works:

- rules: quality rules over 20,000 pages, files in, files out; each project's own rules, which are not the same,
- model: programs by one random Llama through vLLM over 2,000 pages, and their execution where the project has it,
- endpoint: the same prompts to a server on the loopback that answers at once,
- programs: execution of stored programs over 500 MB of text, Parquet in, files out,
- html: text out of WARC files.

Pages are those of ``corpus.py``. Each project is a script in ``peers/``, which says in a PEP 723 block what it needs; uv makes
an environment for each in its cache. A project that does not install or fails is skipped with the reason. Scripts without a
block run in this environment.

Every script runs twice, over a tenth of the pages and over all. ``pages_per_core_second`` (processor time) and
``pages_per_second_per_core`` (the clock) are of the difference; ``start_*`` is what is left for a run without pages. Time and
memory are of all processes that a script starts, also those that leave its process tree, looked at twice a second.
``peak_mib`` is the sum of their proportional set sizes: what they share counts once.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from peer_inputs import answering, prepare
from timing import arguments, report

SCRIPTS = Path(__file__).resolve().parent / "peers"
WORKS: dict[str, tuple[int, tuple[str, ...]]] = {
    "rules": (20_000, ("prox_spark", "datatrove", "daft", "nemo_curator")),
    "model": (2_000, ("prox_spark", "published", "ray_data")),
    "endpoint": (2_000, ("prox_spark", "datatrove")),
    "programs": (160_000, ("prox_spark", "published")),
    "html": (2_000, ("prox_spark", "resiliparse", "trafilatura", "datatrove")),
}
"""Of each work: its pages, and the projects that do it."""

_MARK = "PEER_RUN"
_LOOKS = 0.5


class SkippedError(Exception):
    """Why there is no figure of a project."""


def script(peer: str) -> Path:
    """Of a project; one script for the two extractors of text."""
    return SCRIPTS / f"run_{'extractor' if peer in ('resiliparse', 'trafilatura') else peer}.py"


def interpreter(file: Path) -> str:
    """The Python that a script runs with, in an environment of its own where it asks for one."""
    if "# /// script" not in file.read_text():
        return sys.executable
    uv = Path(sys.executable).with_name("uv")
    for command in (["sync", "--script", file, "--python", sys.executable], ["python", "find", "--script", file]):
        done = subprocess.run([uv, *command], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SkippedError(f"does not install: {_end(done.stderr)}")
    return done.stdout.strip()


@dataclass
class Watch:
    """The processes of a run: those with its mark in their environment."""

    mark: str
    peak: int = 0
    processor: dict[int, float] = field(default_factory=dict)
    _others: set[int] = field(default_factory=set)

    def look(self) -> None:
        memory = 0
        for number in psutil.pids():
            if number in self._others:
                continue
            try:
                process = psutil.Process(number)
                if number not in self.processor and process.environ().get(_MARK) != self.mark:
                    # A process that a shell of the run has only just started still has the mark: it inherits it.
                    self._others.add(number)
                    continue
                spent = process.cpu_times()
                self.processor[number] = spent.user + spent.system
                memory += process.memory_full_info().pss
            except psutil.Error:
                continue
        self.peak = max(self.peak, memory)

    def end(self) -> None:
        """End what a script has left running."""
        for number in self.processor:
            try:
                process = psutil.Process(number)
                if process.environ().get(_MARK) == self.mark:
                    process.kill()
            except psutil.Error:
                continue


def waited_for() -> float:
    """Processor seconds of all children that this process has waited for, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(command: list[str], limit: float) -> dict[str, Any]:
    """One run of a script: seconds, processor seconds, peak memory, and what it says of its result."""
    watch = Watch(uuid.uuid4().hex)
    own = {_MARK: watch.mark, "PYTHONPATH": str(SCRIPTS.parent.parent), "OMP_NUM_THREADS": str(os.cpu_count())}
    offline = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        began, before = time.monotonic(), waited_for()
        process = subprocess.Popen(command, stdout=out, stderr=errors, text=True, env={**os.environ, **own, **offline})
        while process.poll() is None and time.monotonic() - began < limit:
            watch.look()
            time.sleep(_LOOKS)
        seconds = time.monotonic() - began
        ended = process.poll() is not None
        watch.end()
        process.wait()
        out.seek(0)
        errors.seek(0)
        if not ended:
            raise SkippedError(f"not done after {limit:.0f} s")
        if process.returncode:
            raise SkippedError(_end(errors.read()))
        said = json.loads(out.read().strip().splitlines()[-1])
    # Looks miss a process's end, and the system counts only those that were waited for.
    processor = max(sum(watch.processor.values()), waited_for() - before)
    return {"seconds": seconds, "processor": processor, "peak_mib": watch.peak >> 20, "said": said}


def measure(work: str, peer: str, inputs: dict[int, Path], limit: float) -> dict[str, Any]:
    """The figures of a project from a run over few pages and one over all."""
    file = script(peer)
    found = {}
    try:
        python = interpreter(file)
        for pages, source in inputs.items():
            with tempfile.TemporaryDirectory() as target:
                asked = f"html-{peer}" if file.stem == "run_extractor" else work
                found[pages] = run([python, str(file), asked, str(source), target], limit)
    except SkippedError as reason:
        return {"peer": peer, "skipped": str(reason)}
    (few, small), (many, whole) = found.items()
    figures: dict[str, Any] = {"peer": peer}
    for name, key in (("processor", "pages_per_core_second"), ("seconds", "pages_per_second_per_core")):
        each = max((whole[name] - small[name]) / (many - few), 1e-9)
        figures[key] = 1 / each / (1 if name == "processor" else os.cpu_count() or 1)
        figures["start_processor_seconds" if name == "processor" else "start_seconds"] = max(
            small[name] - few * each, 0.0
        )
    return {**figures, "peak_mib": whole["peak_mib"], **whole["said"]}


def _end(text: str) -> str:
    """The last line of an error, shortened."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no message"


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--works", nargs="+", choices=WORKS, default=list(WORKS))
    parser.add_argument("--peers", nargs="+", choices=sorted({peer for _, peers in WORKS.values() for peer in peers}))
    parser.add_argument("--pages", type=int, help="of each work; default: as above")
    parser.add_argument("--limit", type=float, default=3600, help="seconds of a run")
    options = parser.parse_args()
    result: dict[str, Any] = {"benchmark": "peers"}
    for work in options.works:
        usual, peers = WORKS[work]
        pages = options.pages or usual
        with tempfile.TemporaryDirectory() as scratch, answering() as address:
            inputs = {count: prepare(work, count, Path(scratch, str(count)), address) for count in (pages // 10, pages)}
            rows = []
            for peer in peers:
                if options.peers is None or peer in options.peers:
                    rows.append(measure(work, peer, inputs, options.limit))
                    print(json.dumps({work: rows[-1]}), file=sys.stderr, flush=True)
        result[work] = {"pages": pages, "rows": rows}
    report(result, options.output)


if __name__ == "__main__":
    main()
