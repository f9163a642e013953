"""Documents of any size: bounded memory, or a row that says why not."""

import subprocess
import sys
import textwrap

import pyarrow as pa
import pytest

from prox_spark.ingestion.task import READ, refuse_large
from prox_spark.limits import DocumentLimits, too_large

ADDRESS_SPACE = 1_500_000_000

SCRIPT = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))
import pyarrow as pa
from prox_spark.config.engines import RulesSettings, ScriptedSettings
from prox_spark.config.models import ChunkConfig, DocumentConfig
from prox_spark.execution import ExecutionSettings
from prox_spark.generation.plan import plan_stage
from prox_spark.generation.task import generate_programs
from prox_spark.refinement.task import CHUNK_PROGRAM, ExecutionParameters, execute_documents

TEXT = {text}
documents = pa.RecordBatch.from_pydict({{"doc_id": ["d"], "content_hash": ["h"], "unit": [0], "text": [TEXT]}})
{body}
"""


def run(text: str, body: str) -> str:
    script = SCRIPT.format(limit=ADDRESS_SPACE, text=text, body=textwrap.dedent(body))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


TWO_LETTERS = '"ab\\n" * (16 * 2**20 // 3)'
MOST_LINES = '"\\n".join(f"ab {number}" for number in range(1_000_000))'
MOST_BYTES = '("The tide turns twice a day, and so does the mill of the old town by the sea.\\n" * 2**20)[: 32 * 2**20]'

GENERATE = """
for section in (DocumentConfig, ChunkConfig):
    stage = "document" if section is DocumentConfig else "chunk"
    for engine in (RulesSettings(kind="rules"), ScriptedSettings(kind="scripted", lines_per_chunk=50)):
        rows = [row for batch in generate_programs(iter([documents]), plan_stage(stage, section(engine=engine)))
                for row in batch.select(["status", "error"]).to_pylist()]
        print(stage, engine.kind, len(rows), rows[0]["status"], rows[0]["error"])
"""


def test_two_letter_lines_are_a_row() -> None:
    for line in run(TWO_LETTERS, GENERATE).splitlines():
        assert line.endswith("1 failed 5,592,406 lines, more than limits.max_lines (1,000,000)"), line


@pytest.mark.slow
@pytest.mark.parametrize("text", [MOST_LINES, MOST_BYTES])
def test_the_largest_documents_are_answered(text: str) -> None:
    for line in run(text, GENERATE).splitlines():
        assert " ok None" in line or " empty None" in line, line


@pytest.mark.slow
@pytest.mark.parametrize("text", [MOST_LINES, MOST_BYTES])
def test_the_largest_documents_are_executed(text: str) -> None:
    body = """
    lines = TEXT.count("\\n") + 1
    program = {"chunk": 0, "line_start": 0, "line_end": lines - 1, "line_offset": 0, "status": "ok", "confidences": None,
               "output": f"remove_lines(line_start=0, line_end={lines - 100})", "line_scores": None}
    chunks = pa.array([[program]], pa.list_(CHUNK_PROGRAM))
    documents = documents.append_column("keep_score", pa.array([1.0])).append_column("chunks", chunks)
    for name in ("source", "url"):
        documents = documents.append_column(name, pa.array([None], pa.string()))
    documents = documents.append_column("metadata", pa.array([None], pa.map_(pa.string(), pa.string())))
    settings = ExecutionSettings(max_removed_share=1.0, min_words=0)
    parameters = ExecutionParameters("strict", settings, 0.5, "keep", None, "r")
    rows = sum(batch.num_rows for batch in execute_documents(iter([documents]), parameters))
    print(lines, rows)
    """
    lines, rows = map(int, run(text, body).split())
    assert rows == lines - 100 + 1 + 1


def test_ingest_quarantines_what_is_too_large() -> None:
    texts = ["one", "one\ntwo\nthree", None, "ä" * 6, ""]
    columns = {"kind": ["document"] * 5, "doc_id": list("abcde"), "content_hash": list("abcde"), "text": texts}
    rows = pa.RecordBatch.from_pydict({name: columns.get(name, [None] * 5) for name in READ.names}, schema=READ)
    found = refuse_large(rows, DocumentLimits(max_bytes=11, max_lines=2)).to_pylist()
    assert [row["kind"] for row in found] == ["document", "unreadable", "document", "unreadable", "document"]
    assert [row["text"] for row in found] == ["one", None, None, None, ""]
    assert [row["error_class"] for row in found] == [None, "TooLarge", None, "TooLarge", None]
    assert found[1]["message"] == "13 bytes, more than limits.max_bytes (11)"
    assert [row["doc_id"] for row in found] == list("abcde")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a\nb", None),
        ("a\nb\nc", "3 lines, more than limits.max_lines (2)"),
        ("a" * 8, None),
        ("a" * 9, "9 bytes, more than limits.max_bytes (8)"),
        (None, None),
    ],
)
def test_limits_include_their_own_number(text: str | None, reason: str | None) -> None:
    limits = DocumentLimits(max_bytes=8, max_lines=2)
    assert too_large(pa.array([text, "x"], pa.string()), limits).to_pylist() == [reason, None]
