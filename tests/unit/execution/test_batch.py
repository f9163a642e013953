"""``execute_batch`` is ``execute`` for every row, whatever shape its arrays have and however costly a row is."""

import sys
from pathlib import Path
from random import Random

import pyarrow as pa
import pytest
from cases import arrays, expected, found, random_case, random_settings
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import strict

from prox_spark.errors import UsageError
from prox_spark.execution import DROPPED_LINES, OUTCOME, Mode, execute_batch

WORDS = "one two three four five six seven eight nine ten eleven"
STRINGS = pa.list_(pa.string())
SEEDS = st.integers(0, 2**32)


@pytest.mark.parametrize("mode", ["strict", "compat"])
@settings(max_examples=40)
@given(seed=SEEDS)
def test_every_row_of_a_batch_is_what_execute_gives(mode: Mode, seed: int) -> None:
    rng = Random(seed)
    chosen = random_settings(rng)
    cases = [random_case(rng, mode) for _ in range(60)]
    batch = execute_batch(*arrays(cases), mode, settings=chosen)
    for case, result in zip(cases, found(batch), strict=True):
        assert result == expected(case, mode, chosen)


@settings(max_examples=25)
@given(seed=SEEDS)
def test_kept_and_removed_lines_are_the_original_in_order(seed: int) -> None:
    rng = Random(seed)
    cases = [random_case(rng, "strict") for _ in range(60)]
    batch = execute_batch(*arrays(cases))
    for case, (text, outcome, lines) in zip(cases, found(batch), strict=True):
        if case.text is None or text is None or outcome["dropped"]:
            assert lines == []
            continue
        changed = {line[0]: line[1:3] for line in lines}
        kept = [
            changed[number][1] if number in changed else line
            for number, line in enumerate(case.text.split("\n"))
            if number not in changed or changed[number][1] is not None
        ]
        assert [number for number, *_ in lines] == sorted(changed)
        assert all(case.text.split("\n")[number] == original for number, (original, _) in changed.items())
        assert "\n".join(kept) == text


def test_real_pages_agree_with_the_plain_executor(shared: Path) -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks"))
    import execution as benchmark

    rng = Random(0)
    gold = [page for page, _ in zip(benchmark.pages(), range(150), strict=False)]
    corpus = [
        (text, [(a, b, make(a, b)) for a, b in benchmark.chunks(text)])
        for text, keep in gold
        for make in (
            lambda a, b, keep=keep: benchmark.removals(a, b, keep),
            lambda a, b, text=text: benchmark.normalizations(a, b, text, rng),
        )
    ]
    [(texts, programs)] = benchmark.batches(corpus)
    for (text, chunks), (refined, _, lines) in zip(corpus, found(execute_batch(texts, programs)), strict=True):
        assert (refined, [line[:3] for line in lines]) == strict(text, chunks)


@pytest.mark.parametrize("mode", ["strict", "compat"])
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_arrays_may_be_sliced_empty_chunked_or_hold_nulls(mode: Mode, kind: pa.DataType) -> None:
    rng = Random(7)
    cases = [random_case(rng, mode) for _ in range(40)]
    texts, programs = arrays(cases)
    texts = texts.cast(kind)
    want = found(execute_batch(texts, programs, mode))
    assert found(execute_batch(texts.slice(5, 20), programs.slice(5, 20), mode)) == want[5:25]
    assert found(execute_batch(texts.slice(5, 0), programs.slice(5, 0), mode)) == []
    in_chunks = (
        pa.chunked_array([texts.slice(0, 3), texts.slice(3)]),
        pa.chunked_array([programs.slice(0, 9), programs.slice(9)]),
    )
    assert found(execute_batch(*in_chunks, mode)) == want
    large_lists = programs.cast(pa.large_list(programs.type.value_type))
    assert found(execute_batch(texts, large_lists, mode)) == want


def test_what_comes_back_is_valid_arrow_of_the_stated_types() -> None:
    rng = Random(3)
    batch = execute_batch(*arrays([random_case(rng, "strict") for _ in range(200)]))
    batch.texts.validate(full=True)
    batch.outcomes.validate(full=True)
    batch.dropped_lines.validate(full=True)
    assert batch.texts.type == pa.string()
    assert batch.outcomes.type == OUTCOME
    assert batch.dropped_lines.schema == DROPPED_LINES


def test_null_texts_and_null_programs_are_no_errors() -> None:
    batch = execute_batch(pa.array([None, "text"]), pa.array([["drop_doc()"], None], STRINGS))
    assert batch.texts.to_pylist() == [None, "text"]
    assert batch.outcomes.field("raised").to_pylist() == ["null text", None]
    assert execute_batch(pa.nulls(2), pa.nulls(2, STRINGS)).texts.to_pylist() == [None, None]


@pytest.mark.parametrize(
    ("texts", "programs", "message"),
    [
        (pa.array([1]), pa.array([["x"]]), "texts must be strings"),
        (pa.array(["a"]), pa.array(["x"]), "list of strings or of structs"),
        (pa.array(["a"]), pa.array([["x"], ["y"]]), "1 documents, but 2 programs"),
        (pa.array(["a"]), pa.array([[{"output": "x"}]]), "programs lack line_end, line_start"),
        (pa.array(["a"]), pa.array([[1]]), "programs must be strings"),
    ],
)
def test_other_arrays_are_refused(texts: pa.Array, programs: pa.Array, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        execute_batch(texts, programs)


COSTLY: dict[str, tuple[str, str]] = {
    "a range beyond the document": (f"{WORDS}\nnav", "remove_lines(1, 1000000000)"),
    "a million calls": ("\n".join([WORDS] * 1000), "\n".join(f"remove_lines({i}, {10**6 - i})" for i in range(10**6))),
    "a million calls of one sum": (
        WORDS,
        "\n".join(f"remove_lines({i}, {1000003 * (10**6 - i)})" for i in range(10**6)),
    ),
    "a million equal calls": (WORDS, "remove_lines(0, 0)\n" * 10**6),
    "a million edits": (f"{WORDS}\n" * 1000, "\n".join(f'normalize("{i}", "x")' for i in range(10**6))),
    "a program of 10 MB": (WORDS, 'normalize("' + "x" * 10**7 + '", "y")'),
    "ten megabytes of open quotes": (WORDS, 'normalize("a\n' * 800_000),
    "a line of 10 MB": ("word " * 2_000_000 + "\nnav", 'remove_lines(1, 1)\nnormalize("word", "w")'),
    "a million lines": (f"{WORDS}\n" * 10**6, "remove_lines(5, 900000)\nremove_lines(0, 900000)"),
    "one letter in a long page": (f"{WORDS}\n" * 10**5, 'normalize("e", "E")'),
    "growing edits": (
        f"{WORDS}\n" * 1000,
        "\n".join(f'normalize("{"o" * 2**i}", "{"o" * 2 ** (i + 1)}")' for i in range(20)),
    ),
}


@pytest.mark.parametrize("mode", ["strict", "compat"])
@pytest.mark.parametrize("name", COSTLY)
def test_costly_rows_end(name: str, mode: Mode) -> None:
    text, program = COSTLY[name]
    batch = execute_batch(pa.array([text]), pa.array([[program]], STRINGS), mode)
    assert len(batch.texts) == 1
    assert len(batch.texts[0].as_py() or "") <= 16 * len(text) + 2**20


def test_a_document_with_thousands_of_chunks_is_linear() -> None:
    text = "\n".join([WORDS] * 20_000)
    chunks = [
        {"line_start": i, "line_end": i + 1, "output": f'remove_lines({i}, {i})\nnormalize("ten", "10")'}
        for i in range(0, 20_000, 2)
    ]
    batch = execute_batch(pa.array([text]), pa.array([chunks]))
    assert batch.texts[0].as_py() == "\n".join([WORDS.replace("ten", "10")] * 10_000)
