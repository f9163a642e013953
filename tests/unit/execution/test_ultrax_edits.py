"""UltraX's edits against the published executor's way of numbering lines (its post-processing code): each line with its
newline under its number, new lines under fractions between, joined in order, and no blank lines."""

import re
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from prox_spark.execution import ChunkProgram, ExecutionSettings, execute

NO_GUARDS = ExecutionSettings(semantics=3, max_removed_share=1.0, min_words=0, max_repeats=99, error_budget=99)


@dataclass(frozen=True)
class Edit:
    """One call about a line: what it does, and its strings."""

    line: int
    function: str
    old: str = ""
    new: str = ""
    order: int = 0

    def written(self) -> str:
        if self.function == "remove_lines":
            return f"remove_lines({self.line}, {self.line})"
        if self.function == "add_line":
            return f"add_line({self.line}, {self.order}, {self.new!r})"
        return f"replace_str({self.line}, {self.old!r}, {self.new!r})"


def published(text: str, edits: list[Edit]) -> str:
    """The text as the numbered lines make it: replacements first, then the rest in order."""
    lines: dict[float, str] = dict(enumerate(text.splitlines(keepends=True), start=1))
    for edit in sorted(edits, key=lambda edit: edit.function != "replace_str"):
        if edit.function == "remove_lines":
            lines.pop(edit.line, None)
        elif edit.function == "add_line":
            lines[edit.line + edit.order / 10000.0] = edit.new
        elif edit.line in lines and lines[edit.line].count(edit.old) == 1:
            lines[edit.line] = lines[edit.line].replace(edit.old, edit.new, 1)
    made = ""
    for key, line in sorted(lines.items()):
        new = isinstance(key, float)
        made += (
            "\n" * (new and made != "" and not made.endswith("\n")) + line + "\n" * (new and not line.endswith("\n"))
        )
    return without_blanks(made)


def without_blanks(text: str) -> str:
    return re.sub(r"\n\n+", "\n", text).strip("\n")


WORD = st.text("abc ", min_size=1, max_size=6).map(lambda word: f"x{word}y")


@st.composite
def pages(draw: st.DrawFn) -> tuple[str, list[Edit]]:
    """A page without blank lines, and at most one replacement for each of its lines, in calls as the models write them."""
    lines = draw(st.lists(WORD, min_size=2, max_size=6))
    edits = []
    for number, line in enumerate(lines, start=1):
        end = "\n" if number < len(lines) else ""
        kind = draw(st.sampled_from(("nothing", "nothing", "removed", "replaced", "end", "joined")))
        cut = draw(st.integers(0, len(line) - 1))
        new = draw(WORD)
        if kind == "removed":
            edits.append(Edit(number, "remove_lines"))
        elif kind == "replaced" and line.count(line[cut:]) == 1 and line[cut:] != " ":
            edits.append(Edit(number, "replace_str", line[cut:], new))
        elif kind == "end" and end:
            edits.append(Edit(number, "replace_str", line[cut:] + end, new + end))
        elif kind == "joined" and end:
            edits.append(Edit(number, "replace_str", draw(st.sampled_from((end, line[cut:] + end))), new))
    places = st.tuples(st.integers(0, len(lines)), st.integers(1, 3))
    for place, order in draw(st.lists(places, max_size=3, unique=True)):
        edits.append(Edit(place, "add_line", new=draw(WORD) + "\n", order=order))
    return "\n".join(lines), edits


@given(pages())
def test_text_is_that_of_the_published_executor(page: tuple[str, list[Edit]]) -> None:
    text, edits = page
    program = "\n".join(edit.written() for edit in edits)
    result = execute(text, [ChunkProgram(program, numbering_offset=-1)], settings=NO_GUARDS)
    assert without_blanks(result.text) == published(text, edits)
    assert result.counts.n_errors == result.counts.n_no_match == 0
    replayed = text.split("\n")
    log = {line.line_number: line.replacement for line in result.dropped_lines}
    kept = [log.get(number, line) for number, line in enumerate(replayed)]
    assert result.text == ("" if result.dropped else "\n".join(line for line in kept if line is not None))
