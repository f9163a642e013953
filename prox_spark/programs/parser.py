"""The parser of programs: reads every dialect, never raises, in time linear in the text. ``docs/programs.md`` has the grammar.

A model's output is data: it is cut into tokens and never evaluated.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from prox_spark.programs import written
from prox_spark.programs.model import MAX_LINE, Call, Program
from prox_spark.programs.operations import BY_NAME, FLAGS, FORMS, MAX_ARGUMENTS, MAX_INDEX, NEWEST, SPELLINGS, Form

_SPACE = re.compile(r"[ \t\r\n\v\f]*")
_BLANK = re.compile(r"[ \t]*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORD_OF_A_SENTENCE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?![A-Za-z0-9_]|[ \t]*=)")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_PLAIN = {'"': re.compile(r'[^"\\\n]*'), "'": re.compile(r"[^'\\\n]*")}
_ESCAPE = re.compile(r"""\\(?:u([0-9a-fA-F]{4})|([nt\\"']))""")
_LITERAL_ESCAPES = {"n": "\n", "t": "\t", "\\": "\\", '"': '"', "'": "'"}
_TYPES = {"line": int, "index": int, "string": str}

Value = int | str | bool


@dataclass(frozen=True, slots=True)
class _Language:
    """The language of a version of the rules: functions by name, and the positions of their arguments by name.

    ``written``: how it reads programs as models write them, ``None`` for version 1. ``line_ends``: whether a target may end
    with its line's newline.
    """

    forms: Mapping[str, Form]
    slots: Mapping[str, Mapping[str, int]]
    longest: int
    written: written.Reading | None
    line_ends: bool


def _language(semantics: int) -> _Language:
    forms = {name: FORMS[name] for name in SPELLINGS} if semantics == 1 else FORMS
    reading = written.READINGS.get(semantics)
    slots = {
        function: {
            name: slot
            for slot, argument in enumerate(form.arguments)
            for name in (*argument.names, *(argument.also if reading else ()))
        }
        for function, form in forms.items()
    }
    return _Language(forms, slots, max(map(len, forms)), reading, line_ends=semantics > 2)


_LANGUAGES = {semantics: _language(semantics) for semantics in range(1, NEWEST + 1)}


def parse(text: str, semantics: int = 1) -> Program:
    """Read a program. Any string gives a program; text that is not a call is reported as a call with its outcome.

    ``semantics``: the version of the rules (default: 1, as in the ``calls`` column). ``execute`` uses the newest version unless
    its settings say otherwise. Since version 2, programs are read as models write them: the rules of ``written.py``.

    ``malformed``: a known function with arguments it does not take, or not closed before the line where the next call
    starts. ``truncated``: the text ends inside this call, or inside a name. ``unknown``: anything else, to the end of
    its line. ``prose``: lines without a call, since version 2. Comments (``#``), blank lines and markdown fences are skipped.

    >>> [call.outcome for call in parse('remove_lines(start=0, end=2)\\nnormalize(source_str="Read mo').calls]
    ['ok', 'truncated']
    """
    language = _LANGUAGES[semantics]
    calls: list[Call] = []
    reading = language.written
    position, length = reading.after_stray_thoughts(text) if reading else 0, len(text)
    while True:
        position = _end(_SPACE, text, position)
        if position >= length:
            return Program(tuple(calls))
        if text[position] == "#":
            position = _end_of_line(text, position, language)
        elif text.startswith("```", position):
            position = _after_fence(text, position)
        elif reading and (after := reading.skipped(text, position)) != position:
            if after < 0:
                # The token limit cut off the thoughts: there is no program.
                calls.append(Call("unknown", outcome="truncated", start=position, end=length))
            position = length if after < 0 else after
        else:
            call, position = _statement(text, position, language)
            if call.outcome == "prose" and calls and calls[-1].outcome == "prose":
                calls[-1] = replace(calls[-1], end=call.end)
            else:
                calls.append(call)


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position


def _end_of_line(text: str, position: int, language: _Language) -> int:
    if language.written:
        return language.written.line_end(text, position)
    found = text.find("\n", position)
    return len(text) if found < 0 else found


def _after_fence(text: str, position: int) -> int:
    """Past the backticks and the language's name; a word with a bracket after it is a call instead."""
    while text.startswith("`", position):
        position += 1
    after_word = _end(_NAME, text, position)
    return position if text.startswith("(", _end(_BLANK, text, after_word)) else after_word


def _statement(text: str, start: int, language: _Language) -> tuple[Call, int]:
    """One call, or an entry for other text in its place, and the position after it."""
    name = _NAME.match(text, start)
    form: Form | None = None
    in_sentence = True
    if name is not None:
        word = name.group() if name.end() - start <= language.longest else ""
        after = _end(_BLANK, text, name.end())
        form = language.forms.get(word)
        if form is not None and text.startswith("(", after):
            return _call(text, start, after + 1, word, language)
        if after >= len(text) and word and any(function.startswith(word) for function in language.forms):
            operation = form.operation if form else "unknown"
            return Call(operation, outcome="truncated", start=start, end=len(text)), len(text)
        in_sentence = form is None or _WORD_OF_A_SENTENCE.match(text, after) is not None
    end = _end_of_line(text, start, language)
    if language.written and in_sentence and written.is_prose(text, start, end):
        return Call("unknown", outcome="prose", start=start, end=end), end
    if form is not None:
        return Call(form.operation, outcome="malformed", start=start, end=end), end
    return Call("unknown", outcome="unknown", start=start, end=end), end


@dataclass(slots=True)
class _Arguments:
    """The state of parsing the tokens between the brackets.

    ``expects``: ``first`` (an argument or the end), ``argument``, ``value`` (after ``name=``), ``equals`` (after a
    name), ``separator`` (after a value).
    """

    values: list[tuple[str | None, Value]] = field(default_factory=list)
    expects: str = "first"
    name: str | None = None
    bad: bool = False
    only_names: bool = True
    """So far, there is neither a value nor the name of one."""

    named: bool = False

    @property
    def untouched(self) -> bool:
        """Whether there was no token yet."""
        return self.expects == "first" and not self.bad

    def value(self, value: Value) -> None:
        self.only_names = False
        if self.expects not in ("first", "argument", "value") or len(self.values) == MAX_ARGUMENTS:
            self.bad = True
        else:
            self.values.append((self.name, value))
        self.name, self.expects = None, "separator"

    def word(self, word: str) -> None:
        self.named = True
        if self.expects == "value" and word in ("True", "true"):
            self.value(True)
        elif self.expects in ("first", "argument"):
            self.name, self.expects = word, "equals"
        else:
            self.bad = True

    def symbol(self, symbol: str) -> None:
        self.only_names &= symbol != "="
        if symbol == "=" and self.expects == "equals":
            self.expects = "value"
        elif symbol == "," and self.expects == "separator":
            self.expects = "argument"
        else:
            self.bad = True


def _call(text: str, start: int, position: int, function: str, language: _Language) -> tuple[Call, int]:
    """Parse a known function from after its opening bracket."""
    operation = language.forms[function].operation
    length = len(text)
    arguments = _Arguments()
    while position < length:
        character = text[position]
        if character == "\n":
            position += 1
            if _call_follows(text, position, language):
                return Call(operation, outcome="malformed", start=start, end=position - 1), position
        elif character in " \t\r\v\f":
            position += 1
        elif character == ")":
            position += 1
            complete = arguments.expects in ("first", "separator") and not arguments.bad
            call = _build(function, arguments.values, language) if complete else None
            if call is None and language.written and arguments.only_names and arguments.named:
                call = Call("unknown", outcome="prose")
            call = call or Call(operation, outcome="malformed")
            return _placed(call, start, position), position
        elif character in "\"'":
            closing = _closing_quote(text, position, language)
            if closing < 0:
                position = -closing
                if position >= length:
                    break
                return Call(operation, outcome="malformed", start=start, end=position - 1), position
            arguments.value(_unescape(text[position + 1 : closing]))
            position = closing + 1
        elif match := _INTEGER.match(text, position):
            arguments.value(_saturated(match.group()))
            position = match.end()
        elif match := _NAME.match(text, position):
            after = _end(_BLANK, text, match.end())
            position = match.end()
            if language.written and arguments.untouched and match.group() == function and text.startswith("(", after):
                position = after + 1
                continue
            arguments.word(match.group())
        elif language.written and language.written.ends_here(text, position):
            return Call(operation, outcome="malformed", start=start, end=position), position
        else:
            arguments.symbol(character)
            position += 1
    return Call(operation, outcome="truncated", start=start, end=length), length


def _placed(call: Call, start: int, end: int) -> Call:
    return replace(call, start=start, end=end)


def _call_follows(text: str, position: int, language: _Language) -> bool:
    """Whether a line that starts here starts with a known function and its bracket."""
    name = _NAME.match(text, _end(_BLANK, text, position))
    if name is None or name.end() - name.start() > language.longest or name.group() not in language.forms:
        return False
    return text.startswith("(", _end(_BLANK, text, name.end()))


def _closing_quote(text: str, opening: int, language: _Language) -> int:
    """Position of the quote that closes a string; if there is none, the negated position where parsing continues.

    That is the end of the text, or the next line that starts a call: a string with a newline could not match a line of a page
    anyway, and treating it as unclosed makes one forgotten quote cost only one call.
    """
    quote, plain = text[opening], _PLAIN[text[opening]]
    position, length = opening + 1, len(text)
    while True:
        position = _end(plain, text, position)
        if position >= length:
            return -length
        if text[position] == quote:
            return position
        if text[position] == "\\":
            position += 2
        else:
            position += 1
            if _call_follows(text, position, language):
                return -position


def _unescape(raw: str) -> str:
    if "\\" not in raw:
        return raw
    parts: list[str] = []
    position = 0
    while (found := raw.find("\\", position)) >= 0:
        parts.append(raw[position:found])
        match = _ESCAPE.match(raw, found)
        if match is None:
            parts.append(raw[found : found + 2])
            position = found + 2
        elif match[2] is not None:
            parts.append(_LITERAL_ESCAPES[match[2]])
            position = match.end()
        else:
            character, position = _code_point(raw, match)
            parts.append(character)
    parts.append(raw[position:])
    return "".join(parts)


def _code_point(raw: str, match: re.Match[str]) -> tuple[str, int]:
    """The character of ``\\uXXXX``, or of two in a surrogate pair; a lone surrogate stays as written."""
    code = int(match[1], 16)
    if 0xD800 <= code < 0xDC00:
        low = _ESCAPE.match(raw, match.end())
        if low is not None and low[1] is not None and 0xDC00 <= (second := int(low[1], 16)) < 0xE000:
            return chr(0x10000 + ((code - 0xD800) << 10) + (second - 0xDC00)), low.end()
    if 0xD800 <= code < 0xE000:
        return match.group(), match.end()
    return chr(code), match.end()


def _saturated(digits: str) -> int:
    sign = -1 if digits[0] == "-" else 1
    digits = digits.lstrip("+-").lstrip("0")
    return sign * (MAX_LINE if len(digits) > 18 else int(digits or "0"))


def _build(function: str, arguments: list[tuple[str | None, Value]], language: _Language) -> Call | None:
    """The call with these arguments, or ``None`` if the function does not take them."""
    form = language.forms[function]
    if len(arguments) == 1 and arguments[0][1] is True:
        flagged = FLAGS.get((form.operation, arguments[0][0] or ""))
        return Call(flagged) if flagged else None
    taken, slots = form.arguments, language.slots[function]
    values: dict[int, Value] = {}
    for index, (name, value) in enumerate(arguments):
        slot = index if name is None else slots.get(name, -1)
        if not 0 <= slot < len(taken) or slot in values or type(value) is not _TYPES[taken[slot].kind]:
            return None
        values[slot] = value
    if not all(argument.optional or slot in values for slot, argument in enumerate(taken)):
        return None
    fields: dict[str, Any] = {field: values[slot] for slot in sorted(values) for field in taken[slot].sets}
    target = fields.get("target", "")
    if "\n" in target:
        edits = BY_NAME[form.operation]
        if (
            not language.line_ends
            or target.find("\n") != len(target) - 1
            or not (edits.edits == "inserts" or edits.unique)
        ):
            return None  # it would renumber the lines of the document
        if edits.edits == "inserts":
            fields["target"] = target[:-1]
    if not 0 <= fields.get("index", 0) <= MAX_INDEX:
        return None
    return Call(form.operation, **fields)
