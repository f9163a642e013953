"""What an engine's log keeps, and what it says first of a failed start: the cause, wherever in the log it stands."""

from pathlib import Path

import pytest

from prox_spark.engines.supervised import place
from prox_spark.engines.supervised.engine_log import cause, last_words
from prox_spark.engines.supervised.place import Place, bound_log, find_owner

POINTING = (
    "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore': 1}"
)
CORE = "(EngineCore pid=12) "
ERROR = f"{CORE}ERROR 11-29 20:55:01 [core.py:1510] "

BEGIN = """\
12:00:00Z INFO prox_spark.engines.supervised.supervisor: loading a/model with vllm
(MainProcess pid=11) INFO 11-29 20:54:31 [model.py:600] Resolved architecture: LlamaForCausalLM
(MainProcess pid=11) WARNING 11-29 20:54:32 [plugins.py:40] Failed to load a plugin
(MainProcess pid=11) WARNING 11-29 20:54:32 [plugins.py:40] Traceback (most recent call last):
(MainProcess pid=11) WARNING 11-29 20:54:32 [plugins.py:40]   File "plugins.py", line 3, in load
(MainProcess pid=11) WARNING 11-29 20:54:32 [plugins.py:40] ModuleNotFoundError: No module named 'nobody'
"""
END = f"""\
Traceback (most recent call last):
  File "supervisor.py", line 50, in load
    backend = load(hello)
{POINTING}
"""

LOGS = {
    "in another process, every line with its prefix": (
        f"""\
{ERROR}EngineCore failed to start.
{ERROR}Traceback (most recent call last):
{ERROR}  File "worker.py", line 90, in determine
(MainProcess pid=11) INFO 11-29 20:55:01 [utils.py:20] waiting for the core
{ERROR}    raise ValueError(
{ERROR}ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`.
{CORE}Process EngineCore:
""",
        "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`.",
    ),
    "chained, the first is the cause": (
        f"""\
{ERROR}Traceback (most recent call last):
{ERROR}  File "load.py", line 1, in f
{ERROR}KeyError: 'layers.0.mlp.gate_up_proj.bias'
{ERROR}
{ERROR}During handling of the above exception, another exception occurred:
{ERROR}
{ERROR}Traceback (most recent call last):
{ERROR}  File "core.py", line 1, in g
{ERROR}RuntimeError: loading failed
""",
        "KeyError: 'layers.0.mlp.gate_up_proj.bias'",
    ),
    "with a message of several lines, without prefixes": (
        """\
Process EngineCore:
Traceback (most recent call last):
  File "config.py", line 9, in create
    raise
pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig
  Value error, User-specified max_model_len (4096) is greater than the derived max_model_len

""",
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig Value error, User-specified "
        "max_model_len (4096) is greater than the derived max_model_len",
    ),
    "a worker's, which its parent points at": (
        f"""\
(Worker pid=13) ERROR 11-29 20:55:00 [multiproc.py:80] Traceback (most recent call last):
{ERROR}Traceback (most recent call last):
(Worker pid=13) ERROR 11-29 20:55:00 [multiproc.py:80]   File "gpu.py", line 1, in init
(Worker pid=13) ERROR 11-29 20:55:00 [multiproc.py:80] torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB
{ERROR}  File "core.py", line 1, in g
{ERROR}Exception: WorkerProc initialization failed. See stack trace for root cause.
""",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB",
    ),
}


@pytest.mark.parametrize("kind", LOGS)
def test_the_cause_comes_first(kind: str, tmp_path: Path) -> None:
    middle, expected = LOGS[kind]
    log = tmp_path / "1.log"
    log.write_text(BEGIN + middle + "(MainProcess pid=11) INFO 11-29 20:55:02 [a.py:1] more words\n" * 60 + END)
    assert cause(POINTING, log) == expected
    assert expected.split(":")[0] not in last_words(log)


def test_a_reason_that_speaks_for_itself_stays(tmp_path: Path) -> None:
    log = tmp_path / "1.log"
    log.write_text(BEGIN + LOGS["chained, the first is the cause"][0])
    assert cause("ImportError: libcuda.so.1:\n cannot open", log) == "ImportError: libcuda.so.1: cannot open"
    assert cause("x" * 9_000, log) == "x" * 500


@pytest.mark.parametrize("text", [None, "", BEGIN, END, f"{ERROR}Traceback (most recent call last):\n"])
def test_a_log_without_a_cause_leaves_the_reason(text: str | None, tmp_path: Path) -> None:
    log = tmp_path / "1.log"
    if text is not None:
        log.write_text(text)
    assert cause(POINTING, log) == POINTING


def test_a_log_that_is_too_long_keeps_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "LOG_BYTES", 1000)
    monkeypatch.setattr(place, "_LOG_KEPT", 100)
    where = Place(find_owner(), "cpu", tmp_path / "key")
    bound_log(where)
    with where.log.open("ab", buffering=0) as log:
        for number in range(500):
            log.write(f"line {number}\n".encode())
            bound_log(where)
    assert where.log.stat().st_size <= 1100
    lines = where.log.read_text().splitlines()
    assert lines[0] == "(the beginning was cut off)"
    assert lines[-3:] == ["line 497", "line 498", "line 499"]
