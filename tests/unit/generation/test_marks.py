"""Marks of lines, and prompts that are made of them."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prox_spark.adapt.tokenizer import write_tokenizer
from prox_spark.errors import RefinerError
from prox_spark.generation.marks import MARKS, page_marks
from prox_spark.generation.prompts import Prompter
from prox_spark.generation.refiner import Refiner
from prox_spark.generation.tokens import PromptTokenizer

LONG = "A sentence of the page that says something about a house by the sea and its many rooms."


def names(line: str, *others: str) -> list[str]:
    _, marks = page_marks([line, *others])
    return [MARKS[mark] for mark in marks[0]]


@pytest.fixture(scope="module")
def prompter(tmp_path_factory: pytest.TempPathFactory) -> Prompter:
    folder = tmp_path_factory.mktemp("vocabulary")
    write_tokenizer(folder, [LONG] * 3, 512, MARKS)
    refiner = Refiner("chunk", "r", "model", (), template="marked/2", numbering="none", window=40, label=1)
    return Prompter(refiner, PromptTokenizer(folder))


def test_marks_tell_length_ending_repeats_place_and_shape() -> None:
    assert names("Home | About") != names("Home or About")
    assert names("Home") == names("Menu")
    assert names("Home", "home ") != names("Home", "Menu")
    assert names("one two three.") != names("one two three")
    assert names("2024 10 11") != names("each and all")
    assert names("Read more stories") != names("Good old stories")
    assert names("so it is as it was") != names("stones tower quietly near harbour walls")
    _, marks = page_marks([LONG] * 20)
    assert marks[0] != marks[-1]
    assert page_marks([LONG])[0] != page_marks(["Home"] * 20)[0]


@given(
    st.lists(
        st.text("aB3²٣ΣİA.,|\u3000\x1c", min_size=1, max_size=8) | st.sampled_from(("Policy.", "READ", "(rss)")),
        min_size=1,
    )
)
def test_marks_of_shape_and_prose_count_characters_and_words_one_by_one(words: list[str]) -> None:
    text = " ".join(words).strip()
    found = names(text)

    split = text.split()
    digits = sum(character.isdigit() for character in text) / max(len(text), 1)
    capitals = sum(word[0].isupper() for word in split) / max(len(split), 1)
    frame = any(word.strip(".,:;!?()[]|").lower() in {"policy", "read", "rss"} for word in split)
    shape = (sum(capitals >= edge for edge in (0.3, 0.75)) * 3 + sum(digits >= edge for edge in (0.02, 0.2))) * 2
    assert found[1] == f"<|shape {shape + ('|' in text)}|>"
    assert int(found[2].split()[1].removesuffix("|>")) % 2 == frame


@given(st.lists(st.text(st.characters(exclude_characters="\n"), max_size=40), min_size=1, max_size=30))
def test_every_line_of_any_page_has_four_marks_of_the_vocabulary(lines: list[str]) -> None:
    page, marks = page_marks(lines)
    assert len(marks) == len(lines)
    kinds = [[MARKS[mark].split()[0] for mark in line] for line in marks]
    assert kinds == [["<|place", "<|shape", "<|prose", "<|line"]] * len(lines)
    assert [MARKS[mark].split()[0] for mark in page] == ["<|page", "<|form"]


def test_a_prompt_is_page_marks_and_clipped_lines_that_end_in_their_marks(prompter: Prompter) -> None:
    lines = ["Home", LONG, "", "The end."]
    (asked,) = prompter.ask(["\n".join(lines)])
    request = prompter.request(0, asked, 0)
    ids = request.token_ids or []
    assert [(chunk.line_start, chunk.line_end) for chunk in asked.chunks] == [(0, 3)]
    assert len(ids) <= 40
    page, marks = page_marks(lines)
    first = min(prompter._marks)
    assert ids[:2] == [first + mark for mark in page]
    assert [ids[position] - first for position in request.positions or []] == [line[3] for line in marks]
    positions = request.positions or []
    assert positions[1] - positions[0] == 6 + 2 + 4
    assert positions[2] - positions[1] == 4


def test_chunks_hold_their_window_and_all_lines(prompter: Prompter) -> None:
    text = "\n".join(f"{LONG} {number}" for number in range(50))
    (asked,) = prompter.ask([text])
    assert [n for chunk in asked.chunks for n in range(chunk.line_start, chunk.line_end + 1)] == list(range(50))
    assert all(len(ids) <= 40 for ids in asked.ids)


def test_marks_in_a_page_are_text(prompter: Prompter) -> None:
    (asked,) = prompter.ask([MARKS[0]])
    assert len(asked.ids[0]) > 2 + 1 + 4


def test_a_tokenizer_without_marks_is_refused(tiny_model: Path) -> None:
    refiner = Refiner("chunk", "r", "model", (), template="marked/2", window=40, label=1)
    with pytest.raises(RefinerError, match="does not have 258 of the template's entries"):
        Prompter(refiner, PromptTokenizer(tiny_model))


def test_a_missing_package_is_told_with_what_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tokenizer(tmp_path, [LONG], 512, MARKS)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(RefinerError, match=r"pip install 'prox-spark\[refiner\]'"):
        PromptTokenizer(tmp_path)
