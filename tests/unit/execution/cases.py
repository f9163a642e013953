"""Random documents and programs, and what ``execute`` makes of them: for the property tests and the fuzz target."""

from dataclasses import dataclass
from random import Random
from typing import Any

import pyarrow as pa

from prox_spark.errors import CompatError
from prox_spark.execution import ChunkProgram, ExecutionSettings, Mode, execute
from prox_spark.execution.result import COUNTS, NULL_TEXT

PIECES = (
    *("Home", "Login", "Read more", "the", "a", "aa", "|", "»", "2025", "page", "word", "x", "=", ",", '"', "(", ")"),
    *("汉字", "日本語", "ไทย", "한국", "é", "😀", "#", "\\", "'", "all=True", "  ", " ", " ", " ", " "),
    *("\t", "\r", "\x1c", "\x85", "\u00a0", "\u2028", "\u3000", "\x00", "\ufeff"),
)
WRITTEN = (
    *(
        "",
        "",
        "- ",
        "1. ",
        "(a) ",
        ">>> ",
        "doc.",
        "Program: ",
        "return ",
        "`",
        "I would call ",
        "<think>x</think>",
        "<think>",
        "> ",
        "self.",
        "Final answer: ",
        "<reasoning>x</reasoning>",
        "<thought>",
    ),
    *(
        "remove_line(3)\n",
        "remove_lines(line_start, line_end)\n",
        "so\n",
        "foo(1)\n",
        "remove_lines(",
        "os.system(",
        "; ",
    ),
)
BEFORE = ("", "", "", "", "<think>\n\n</think>\n\n", "hm\n</think>\n", "Here it is:\n", "<THINK>", "[THINK]a[/THINK]")
NUMBERS = ("0", "1", "2", "3", "5", "8", "13", "-1", "-3", "007", "+4", "1000000000", "9" * 30, "x", "1.5", "")
COMPAT_NUMBERS = (*NUMBERS, "1_0", " 5 ", "٣", "\u30003", "5\x1f", "1__0", "_1", "9" * 18, "1" + "0" * 18, "9" * 5000)

PROGRAMS = pa.list_(
    pa.struct(
        [
            ("line_start", pa.int64()),
            ("line_end", pa.int64()),
            ("output", pa.string()),
            ("numbering_offset", pa.int64()),
            ("line_scores", pa.list_(pa.float32())),
            ("confidences", pa.list_(pa.float32())),
        ]
    )
)


@dataclass(frozen=True)
class Case:
    """A document, its programs, and the settings to execute them with."""

    text: str | None
    programs: list[ChunkProgram] | None


def random_line(rng: Random) -> str:
    return "".join(rng.choice(PIECES) for _ in range(rng.choice((0, 1, 2, 5, 9, 14))))


def random_text(rng: Random) -> str | None:
    if rng.random() < 0.03:
        return None
    return "\n".join(random_line(rng) for _ in range(rng.choice((1, 1, 2, 4, 8, 15))))


def _string(rng: Random, text: str) -> str:
    if text and rng.random() < 0.7:
        start = rng.randrange(len(text))
        raw = text[start : start + rng.choice((1, 1, 2, 4, 12))]
    else:
        raw = rng.choice(("", " ", "a", "not there", "a\nb", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa", "汉"))
    if rng.random() < 0.8:
        raw = raw.replace("\\", "\\\\").replace('"', '\\"').replace("\n", rng.choice(("\\n", "\n")))
    return rng.choice(('"', '"', '"', "'")).join(("", raw, ""))


def random_call(rng: Random, text: str, numbers: tuple[str, ...]) -> str:
    def number() -> str:
        return rng.choice(numbers)

    kind = rng.random()
    names = rng.choice(
        (("start=", "end="), ("line_start=", "line_end="), ("", ""), ("start = ", "end = "), ("end=", "start="))
    )
    if kind < 0.45:
        return f"remove_lines({names[0]}{number()}, {names[1]}{number()})" + rng.choice(("", "", "", " # nav"))
    if kind < 0.65:
        first, second = rng.choice((("source_str=", "target_str="), ("", ""), ("source_str=", "")))
        target = rng.choice(("", f", {second}{_string(rng, text)}", f", {second}{_string(rng, text)}"))
        return f"normalize({first}{_string(rng, text)}{target})"
    if kind < 0.72:
        return f"remove_str({number()}, {_string(rng, text)})"
    if kind < 0.74:
        return f"add_line({number()}, {rng.choice((0, 1, 2, 10000))}, {_string(rng, text)})"
    if kind < 0.77:
        return f"replace_str(line={number()}, old={_string(rng, text)}, new={_string(rng, text)})"
    if kind < 0.81:
        return random_ultrax_call(rng, text)
    return rng.choice(
        (
            *("keep_chunk()", "untouch_doc()", "keep_all()", "keep_doc()", "drop_doc()", "remove_all()"),
            *("remove_lines(all=True)", "```python", "```", "", "# nothing", "hello world", "remove_lines(start=3"),
            *(
                "remove_lines",
                "normalize(",
                "remov",
                "remove_lines(start=5, end=1é",
                'normalize("abc',
                " remove_lines(1, 1)",
            ),
        )
    )


def random_ultrax_call(rng: Random, text: str) -> str:
    """A call as UltraX's models are trained to write it: positional, strings as Python prints them, lines with their ends."""
    lines = text.split("\n")
    line = rng.randrange(len(lines))
    whole = lines[line] + "\n" * (line < len(lines) - 1 or rng.random() < 0.2)
    if rng.random() < 0.3:
        return f"add_line({line + rng.choice((-1, 0, 0))}, {rng.choice((0, 1, 2))}, {whole[:9] + rng.choice(('', chr(10)))!r})"
    start = rng.randrange(max(len(whole) - 3, 0), len(whole) + 1)
    end = rng.choice(("", "\n", "\n", " ", "x\n", "y", whole[start:]))
    return f"replace_str({line}, {whole[start:]!r}, {end!r})"


def random_program(rng: Random, text: str, numbers: tuple[str, ...]) -> str | None:
    if rng.random() < 0.05:
        return None
    calls = [random_call(rng, text, numbers) for _ in range(rng.choice((0, 1, 1, 2, 3, 6, 25)))]
    if calls and rng.random() < 0.15:
        calls += [calls[-1]] * rng.choice((1, 3, 9))
    if rng.random() < 0.3:
        calls = [
            rng.choice(WRITTEN) + call + rng.choice(("", "", ";", "`", " done", "</s>", "<|end|>")) for call in calls
        ]
    return rng.choice(BEFORE) + "\n".join(calls) + rng.choice(("", "", "\n", " ", "\nremove_lines(start=1", "\nnorm"))


def random_case(rng: Random, mode: Mode) -> Case:
    text = random_text(rng)
    if rng.random() < 0.03:
        return Case(text, None)
    numbers = COMPAT_NUMBERS if mode == "compat" else NUMBERS
    programs = []
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        start = rng.choice((None, 0, 0, 1, 3, -2, 40))
        scores = [rng.choice((None, 0.0, 0.25, 0.5, 0.75, 1.0, float("nan"))) for _ in range(rng.choice((0, 0, 3, 20)))]
        confidences = [rng.choice((None, 0.25, 0.5, 1.0)) for _ in range(rng.choice((0, 0, 2, 30)))]
        programs.append(
            ChunkProgram(
                random_program(rng, text or "", numbers),
                start,
                rng.choice((None, 2, 5, 100, -1, (start or 0) + 1)),
                rng.choice((0, 0, 0, start or 0, -1, 2**62)),
                scores,
                confidences,
            )
        )
    return Case(text, programs)


def random_settings(rng: Random) -> ExecutionSettings:
    return ExecutionSettings(
        error_budget=rng.choice((0, 1, 1, 1, 5)),
        max_removed_share=rng.choice((0.95, 0.95, 0.5, 0.0, 1.0)),
        min_words=rng.choice((10, 0, 3)),
        max_repeats=rng.choice((1, 3, 8)),
        drop_line_below=rng.choice((0.5, 0.0, 1.0)),
        min_confidence=rng.choice((0.0, 0.3, 0.5)),
        semantics=rng.choice((1, 2, 3)),
    )


def arrays(cases: list[Case]) -> tuple[Any, Any]:
    """Cases as the two columns that ``execute_batch`` takes."""
    rows = [
        None
        if case.programs is None
        else [
            {
                "line_start": program.line_start,
                "line_end": program.line_end,
                "output": program.output,
                "numbering_offset": program.numbering_offset,
                "line_scores": list(program.line_scores),
                "confidences": list(program.confidences),
            }
            for program in case.programs
        ]
        for case in cases
    ]
    return pa.array([case.text for case in cases], pa.string()), pa.array(rows, PROGRAMS)


def expected(case: Case, mode: Mode, settings: ExecutionSettings) -> tuple[str | None, dict[str, Any], list[Any]]:
    """Text, outcome and dropped lines of a case by ``execute``."""
    outcome: dict[str, Any] = {
        "dropped": False,
        "raised": None,
        "reason": None,
        "guard": None,
        **dict.fromkeys(COUNTS, 0),
    }
    if case.text is None:
        return None, {**outcome, "raised": NULL_TEXT}, []
    try:
        result = execute(case.text, case.programs or [], mode, settings=settings)
    except CompatError as error:
        return None, {**outcome, "raised": str(error)}, []
    outcome |= {"dropped": result.dropped, "reason": result.reason, "guard": result.guard}
    outcome |= {name: getattr(result.counts, name) for name in COUNTS}
    lines = [
        (line.line_number, line.text, line.replacement, line.operation, line.chunk, line.score)
        for line in result.dropped_lines
    ]
    return result.text, outcome, lines


def found(batch: Any) -> list[tuple[str | None, dict[str, Any], list[Any]]]:
    """The same three of every document in a batch."""
    lines: list[list[Any]] = [[] for _ in range(len(batch.texts))]
    for line in batch.dropped_lines.to_pylist():
        lines[line.pop("row")].append(tuple(line.values()))
    return list(zip(batch.texts.to_pylist(), batch.outcomes.to_pylist(), lines, strict=True))
