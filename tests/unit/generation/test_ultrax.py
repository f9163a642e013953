"""UltraX's refiners: prompt, windows, programs and what becomes of the text. Facts from arXiv 2607.08646 and its code."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from prox_spark.config.engines import TransformersSettings
from prox_spark.engines.protocol import Completion
from prox_spark.errors import RefinerError
from prox_spark.execution import ChunkProgram, ExecutionSettings, execute
from prox_spark.generation.chunking import cut_overlapping
from prox_spark.generation.kinds import load_refiner
from prox_spark.generation.plan import StagePlan
from prox_spark.generation.prompts import Prompter
from prox_spark.generation.refiner import fingerprint
from prox_spark.generation.rows import Rows
from prox_spark.generation.templates import CONTROL
from prox_spark.generation.tokens import PromptTokenizer
from prox_spark.programs.grammar import EBNF, ULTRAX_1_EBNF, ULTRAX_EBNF, follows

WORDS = "one two three four five six seven eight nine ten eleven"
PAGE = f"Home | Login\n{WORDS}\nRead more &amp; more\n{WORDS} twelve\nFooter"
PROGRAM = (
    "remove_lines(1, 1)\nreplace_str(3, '&amp;', '&')\nreplace_str(4, 'twelve\\n', '')\n"
    "add_line(4, 1, 'A new line.\\n')\nremove_lines(5, 5)"
)


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    """A tiny model with the control tokens of Qwen3, and what a user adds to UltraX's folder."""
    made = tmp_path / "ultrax"
    shutil.copytree(tiny_model, made)
    tokenizer = Tokenizer.from_file(str(made / "tokenizer.json"))
    tokenizer.add_special_tokens(list(CONTROL))
    tokenizer.save(str(made / "tokenizer.json"))
    (made / "system.txt").write_text("Clean the page.\nWrite <|im_end|> nowhere.\n")
    chunk = {"template": "ultrax/2", "window": 200, "max_tokens": 64, "system": "system.txt"}
    (made / "refiner.json").write_text(json.dumps({"name": "u", "context": 2048, "chunk": chunk}))
    return made


def settings(folder: Path) -> TransformersSettings:
    return TransformersSettings(kind="transformers", model=str(folder))


def prompter_of(folder: Path) -> Prompter:
    return Prompter(load_refiner("chunk", settings(folder)), PromptTokenizer(folder))


def test_the_prompt_is_the_chat_form_with_lines_numbered_from_one(folder: Path) -> None:
    prompter = prompter_of(folder)
    [asked] = prompter.ask(["a menu\n\n<|im_end|> prose"])
    ids = prompter.request(0, asked, 0).token_ids or []
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert tokenizer.decode(ids, skip_special_tokens=False) == (
        "<|im_start|>system\nClean the page.\nWrite <|im_end|> nowhere.<|im_end|>\n<|im_start|>user\n"
        "<lid:1>a menu\n<lid:2>\n<lid:3><|im_end|> prose<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    )
    # Control tokens of form and instruction are entries of the vocabulary, as in a chat template; those of the page are text.
    assert ids.count(tokenizer.token_to_id("<|im_end|>")) == 3
    assert prompter.first_number(asked.chunks[0]) == 1


def test_windows_overlap_and_own_the_lines_after_those_shown_again(folder: Path) -> None:
    prompter = prompter_of(folder)
    page = "\n".join(f"menu {number}" for number in range(60))
    [asked] = prompter.ask([page])
    assert len(asked.chunks) > 1
    assert [(chunk.line_start, chunk.line_end) for chunk in asked.chunks] == [
        (before.line_end + 1 if before else 0, chunk.line_end)
        for before, chunk in zip([None, *asked.chunks], asked.chunks, strict=False)
    ]
    for index, chunk in enumerate(asked.chunks):
        shown = prompter.tokenizer.decode(asked.ids[index].tolist())
        first = chunk.line_start - chunk.context
        lines = [f"<lid:{line + 1}>menu {line}" for line in range(first, chunk.line_end + 1)]
        assert shown == "\n".join(lines)
        assert (chunk.context > 0) == (index > 0)
        assert len(asked.ids[index]) <= 200


COSTS = st.lists(st.none() | st.integers(1, 12), max_size=40)


@given(COSTS, st.integers(1, 30), st.sampled_from([0.0, 0.2, 0.5]))
def test_every_line_that_fits_is_owned_once_and_no_window_is_too_large(
    costs: list[int | None], window: int, share: float
) -> None:
    chunks = cut_overlapping(["x"] * len(costs), costs, window, share)
    owned = [line for chunk in chunks for line in range(chunk.line_start, chunk.line_end + 1)]
    assert owned == [line for line, cost in enumerate(costs) if cost is not None and cost <= window]
    end = 0
    for chunk in chunks:
        first = chunk.line_start - chunk.context
        assert end == chunk.line_start or chunk.context == 0
        assert sum(costs[line] or window + 1 for line in range(first, chunk.line_end + 1)) <= window
        end = chunk.line_end + 1


def test_a_program_becomes_the_text_that_it_says(folder: Path) -> None:
    refiner = load_refiner("chunk", settings(folder))
    rows = Rows(StagePlan("chunk", settings(folder), refiner, fingerprint(refiner)))
    rows.add_answer(("d", "h", 0), 0, (0, 4), Completion(id=0, output=PROGRAM), 3, PROGRAM, None)
    [batch] = rows.flush(everything=True)
    [row] = batch.to_pylist()
    assert row["line_offset"] == -1
    assert (row["calls"][0]["line_start"], row["calls"][0]["line_end"]) == (0, 0)

    chunk = ChunkProgram(row["output"], row["line_start"], row["line_end"], row["line_offset"])
    result = execute(PAGE, [chunk], settings=ExecutionSettings(semantics=3))
    assert result.text == f"{WORDS}\nRead more & more\n{WORDS} \nA new line."


def test_calls_about_lines_that_are_only_shown_do_nothing(folder: Path) -> None:
    program = "remove_lines(1, 1)\nremove_lines(2, 2)\nreplace_str(3, 'more', 'x')\nremove_lines(5, 5)"
    result = execute(PAGE, [ChunkProgram(program, 3, 4, -1)], settings=ExecutionSettings(semantics=3))
    assert result.text == PAGE.removesuffix("\nFooter")
    assert result.guard is None


@pytest.mark.parametrize("program", ["keep_all()", "remove_all()", PROGRAM, "replace_str(1, 'it\\'s', \"\")"])
def test_the_grammar_takes_its_programs(program: str) -> None:
    assert follows(ULTRAX_EBNF, program)
    xgrammar = pytest.importorskip("xgrammar", reason="xgrammar comes with vLLM")
    from xgrammar.testing import _is_grammar_accept_string

    assert _is_grammar_accept_string(xgrammar.Grammar.from_ebnf(ULTRAX_EBNF), program)


@pytest.mark.parametrize("grammar", [EBNF, ULTRAX_1_EBNF, ULTRAX_EBNF])
def test_prose_and_thoughts_around_calls_break_no_grammar(grammar: str) -> None:
    assert follows(grammar, "<think>\nnothing()\n</think>\nHere it is:\n- remove_lines(0, 3);")
    assert not follows(grammar, "I cannot do that.")


@pytest.mark.parametrize(
    "program", ["keep_all()\nremove_all()", "normalize('a')", "Sure: keep_all()", "add_line(0, 1, 'a\\nb')"]
)
def test_the_grammar_takes_nothing_else(program: str) -> None:
    assert not follows(ULTRAX_EBNF, program)


def test_the_grammar_of_the_first_template_takes_no_line_ends() -> None:
    for program, second in ((PROGRAM, False), ("replace_str(3, '&amp;', '&')\nadd_line(4, 1, 'A new line.')", True)):
        assert follows(ULTRAX_EBNF, program)
        assert follows(ULTRAX_1_EBNF, program) is second


def test_the_grammar_is_that_of_the_template(folder: Path) -> None:
    held = load_refiner("chunk", settings(folder), grammar=True)
    assert held.grammar == ULTRAX_EBNF
    assert load_refiner("chunk", settings(folder), template_name="ultrax/1", grammar=True).grammar == ULTRAX_1_EBNF
    (folder / "refiner.json").unlink()
    plain = folder.rename(folder.with_name("plain"))
    assert load_refiner("chunk", settings(plain), grammar=True).grammar == EBNF


def test_a_changed_instruction_is_another_refiner(folder: Path) -> None:
    before = fingerprint(load_refiner("chunk", settings(folder)))
    (folder / "system.txt").write_text("Clean it.")
    assert fingerprint(load_refiner("chunk", settings(folder))) != before


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"system": None}, "needs the instruction that the model was trained with"),
        ({"system": "../system.txt"}, "needs the instruction that the model was trained with"),
        ({"system": "other.txt"}, "cannot be read"),
        ({"numbering": "chunk"}, "numbers lines through the document"),
    ],
)
def test_a_folder_that_cannot_be_prompted_is_refused(folder: Path, changes: dict[str, str], said: str) -> None:
    file = folder / "refiner.json"
    described = json.loads(file.read_text())
    described["chunk"] |= changes
    file.write_text(json.dumps(described))
    with pytest.raises(RefinerError, match=said):
        load_refiner("chunk", settings(folder))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("UltraX-0.6B-Preview", "needs a refiner.json with the template ultrax/2"),
        ("DataOrchestra-1.7B", "models that rewrite text"),
        ("MinerU-HTML", "before ingest"),
    ],
)
def test_models_of_other_makers_are_no_released_prox_refiners(
    tiny_model: Path, tmp_path: Path, name: str, said: str
) -> None:
    shutil.copytree(tiny_model, tmp_path / name)
    (tmp_path / name / "refiner.json").unlink(missing_ok=True)
    with pytest.raises(RefinerError, match=said):
        load_refiner("chunk", settings(tmp_path / name))
