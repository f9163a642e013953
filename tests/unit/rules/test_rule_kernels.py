"""The compiled rules against plain Python, over texts that are made to be difficult."""

import re
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rules_oracle import measures, removed_runs

from prox_spark.rules.catalogue import LINE_RULES, MEASURES
from prox_spark.rules.programs import line_programs, measure

_PIECES = (
    *("the", "that", "of", "Of", "house", "a", "x" * 1001, "Straße", "ÉCOLE", "MENU", "42", "1,200", "1.2k", "9+", "٣"),
    *(" ", " ", " ", "  ", "\t", "\u00a0", "\u3000", "\u0085", "\x1c", "\x00", "\n", "\n", "\n\n", "\r\n", "\n \n"),
    *(".", "!", "?", "...", "…", "#", "•", "-", '"', "”", "。", "\uff0c", "{", "|", "'", ")", "(", "؟", "।", "🙂"),
    *(
        "汉",
        "汉字",
        "这是一个",
        "カタカナ",
        "ภาษาไทย",
        "한국어",
        "हिन्दी",
        "𠀀",
        "\U0003fffd",
        "\U000e0041",
        "İ",
        "\u212a",
    ),
    *("JavaScript", "uses Cookies", "terms of use", "Lorem ipsum", "items in cart", "Sign in", "read more", "login"),
    *("likes", "Share", "replies", "One sentence stands here, and it ends. ", "Menu\n", "the house of the house of "),
)
TEXTS = st.lists(st.sampled_from(_PIECES), max_size=60).map("".join) | st.text(max_size=80)
CALL = re.compile(r"remove_lines\(start=(\d+), end=(\d+)\)")


def runs(program: str) -> list[tuple[int, int]]:
    return [(int(first), int(last)) for first, last in CALL.findall(program)]


@settings(max_examples=400)
@given(st.lists(TEXTS, max_size=4))
def test_every_measure_equals_the_plain_one(texts: list[str]) -> None:
    found = measure(texts)
    assert found.shape == (len(texts), len(MEASURES))
    for text, row in zip(texts, found, strict=True):
        expected = measures(text)
        assert list(expected) == list(MEASURES)
        np.testing.assert_array_equal(row, np.array(list(expected.values()), float), err_msg=repr(text))


@settings(max_examples=400)
@given(st.lists(TEXTS, max_size=4), st.lists(st.sampled_from(list(LINE_RULES)), min_size=1, unique=True))
def test_programs_remove_what_the_plain_rules_do(texts: list[str], rules: list[str]) -> None:
    assert [runs(program) for program in line_programs(texts, rules)] == [removed_runs(text, rules) for text in texts]


@settings(max_examples=200)
@given(st.lists(st.sampled_from(["a ", "b ", "cc ", "汉"]), max_size=200).map("".join))
def test_repeated_words_are_found_as_plain_counting_finds_them(text: str) -> None:
    expected = measures(text)
    np.testing.assert_array_equal(measure([text])[0], np.array(list(expected.values()), float), err_msg=text)


def test_a_byte_of_zero_belongs_to_its_word() -> None:
    assert measure(["the\0 of\0"])[0, MEASURES.index("stop_words")] == 0


def test_no_texts_and_half_a_surrogate_pair_are_no_reason_to_fail() -> None:
    assert line_programs([], ["c4_few_words"]) == []
    assert measure([]).shape == (0, len(MEASURES))
    assert line_programs(["", "\ud800"], ["c4_few_words"]) == ["keep_chunk()", "remove_lines(start=0, end=0)"]


@pytest.mark.parametrize(
    ("unit", "megabytes"),
    [
        *((unit, 10) for unit in ("x", "ab cd. ", "汉", "uses cookies ")),
        *(
            (unit, 2)
            for unit in ("a ", "\n", "a\n", "word \n\n", "...", "#", "the of\n", "read more ", "{", "\x00", " ")
        ),
    ],
)
def test_time_is_linear_in_any_text(unit: str, megabytes: int) -> None:
    """A byte of one long text costs no more than one of many short ones, give or take what caches and new memory cost."""
    size = len(unit.encode())
    long = unit * (megabytes * 1_000_000 // size)
    short = [unit * (8000 // size)] * 125

    def seconds(texts: list[str]) -> float:
        start = time.process_time()
        measure(texts)
        line_programs(texts, list(LINE_RULES))
        return time.process_time() - start

    seconds(["warm"])
    assert seconds([long]) < 10 * megabytes * seconds(short) + 0.5


def test_words_without_end_take_linear_time() -> None:
    """Words that are all different, then again: the largest tables there are."""
    half = " ".join(f"w{number}" for number in range(200_000))
    start = time.process_time()
    (row,) = measure([f"{half}\n{half}"])
    assert time.process_time() - start < 8
    assert row[MEASURES.index("words")] == 400_000
    assert row[MEASURES.index("duplicate_lines")] == 0.5


def test_a_fresh_process_loads_the_kernels_and_compiles_nothing() -> None:
    code = (
        "from prox_spark.rules.programs import line_programs, measure\n"
        "line_programs(['warm'], ['c4_few_words'])\n"
        "measure(['warm'])\n"
        "from prox_spark.rules.kernels import measure_documents, write_line_programs\n"
        "for kernel in (measure_documents, write_line_programs):\n"
        "    assert len(kernel.signatures) == 1, kernel.signatures\n"
        "    assert not kernel.stats.cache_misses, kernel.stats\n"
    )
    line_programs(["warm"], ["c4_few_words"])
    measure(["warm"])
    subprocess.run([sys.executable, "-c", code], check=True)
