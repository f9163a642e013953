"""How models write programs beyond the grammar: every rule is an entry of ``RULES``, with its source.

Version 1 of the rules (``execution.semantics``) reads none of them; each entry has the version since which it is read. Only
unambiguous ways of writing have a rule here. ``docs/programs.md`` lists them; ``written_kernels.py`` does the same over bytes.
"""

import re
from dataclasses import dataclass
from typing import Literal

from prox_spark.programs.operations import FORMS, NEWEST

Kind = Literal[
    "thoughts", "end", "lead", "label", "number", "signature", "doubled", "prose", "keep", "drop", "negation"
]


@dataclass(frozen=True, slots=True)
class Rule:
    """A way of writing, and its meaning.

    ``thoughts``: an opening and a closing tag; the text between them is skipped. ``end``: the answer ends here. ``lead``:
    may come before or after a call and is skipped. ``label``: the same for a word, in any case. ``number``: a list's
    numbers. ``signature``: a function with the names of arguments and no value. ``doubled``: a call inside the brackets of
    the same function. ``prose``: lines without a call. ``keep``, ``drop``: words that decide on a document, unless one of the
    others, or a ``negation``, is in the answer too. ``since``: the first version of the rules that reads it.
    """

    kind: Kind
    written: tuple[str, ...]
    source: str
    since: int = 2


RULES = (
    Rule("thoughts", ("<think>", "</think>"), "Qwen3, DeepSeek-R1; UltraX's executor removes them"),
    Rule("thoughts", ("<thinking>", "</thinking>"), "models prompted for their reasoning"),
    Rule("thoughts", ("[THINK]", "[/THINK]"), "Magistral"),
    Rule(
        "thoughts", ("<reasoning>", "</reasoning>"), "models trained with reinforcement learning on this form", since=3
    ),
    Rule("thoughts", ("<thought>", "</thought>"), "models prompted for their reasoning", since=3),
    Rule("thoughts", ("<seed:think>", "</seed:think>"), "Seed-OSS", since=3),
    Rule("thoughts", ("<|START_THINKING|>", "<|END_THINKING|>"), "Command A", since=3),
    Rule("end", ("<|im_end|>", "<|endoftext|>"), "Qwen, ChatML"),
    Rule("end", ("</s>",), "Llama 2, Mistral"),
    Rule("end", ("<|eot_id|>", "<|end_of_text|>"), "Llama 3"),
    Rule("end", ("<end_of_turn>", "<eos>"), "Gemma"),
    Rule("end", ("<|end|>",), "Phi", since=3),
    Rule("end", ("<\uff5cend\u2581of\u2581sentence\uff5c>",), "DeepSeek", since=3),
    Rule("end", ("<seed:eos>",), "Seed-OSS", since=3),
    Rule("end", ("<|END_RESPONSE|>", "<|END_OF_TURN_TOKEN|>"), "Command A", since=3),
    Rule("lead", (">>>", "..."), "Python's prompts"),
    Rule("lead", ("-", "*", "+", "•"), "list marks"),
    Rule("lead", ("\u2013", "—"), "dashes as list marks", since=3),
    Rule("lead", (">",), "a quotation in Markdown", since=3),
    Rule("lead", ("`",), "code in a line of Markdown"),
    Rule("lead", (";", ",", "."), "between calls in one line, or behind one"),
    Rule("lead", (")",), "the second bracket of a doubled call"),
    Rule("label", ("doc.", "document.", "text.", "page.", "chunk."), "calls written as methods"),
    Rule("label", ("self.",), "calls written as methods of a class", since=3),
    Rule("label", ("functions.",), "calls of tools as OpenAI's models write them", since=3),
    Rule("label", ("program:", "answer:", "output:", "operations:", "functions:", "code:", "result:"), "chat models"),
    Rule("label", ("final answer:", "call:", "calls:"), "chat models", since=3),
    Rule("label", ("<answer>", "</answer>"), "models trained with reinforcement learning on this form", since=3),
    Rule("label", ("<code>", "</code>"), "code in HTML", since=3),
    Rule("label", ("<tool_call>", "</tool_call>"), "Qwen's calls of tools", since=3),
    Rule("label", ("<|start_response|>",), "Command A", since=3),
    Rule("label", ("return ",), "calls written as the body of a function"),
    Rule("number", ("1.", "1)", "(1)", "(a)", "a)"), "numbered lists"),
    Rule("signature", ("remove_lines(line_start, line_end)",), "models that repeat the prompt's list of functions"),
    Rule("doubled", ("remove_lines(remove_lines(0, 2))",), "models that repeat the function's name"),
    Rule(
        "prose", ("I would remove the menu:",), "chat models; ProX's and UltraX's executors skip lines that are no call"
    ),
    Rule("keep", ("keep", "keep_doc"), "ProX's executor keeps a document without the word drop"),
    Rule("drop", ("drop", "drop_doc"), "ProX's executor drops a document with the word"),
    Rule("negation", ("not", "no", "never", "don", "t"), "answers in sentences"),
    Rule("negation", ("cannot", "nothing", "neither", "nor", "none", "hardly", "without"), "answers in sentences"),
)


def written(*kinds: Kind, semantics: int) -> tuple[str, ...]:
    """All strings of these kinds that a version of the rules reads, those of older versions first."""
    return tuple(word for rule in _known(semantics) if rule.kind in kinds for word in rule.written)


def thoughts(semantics: int) -> tuple[tuple[str, str], ...]:
    """The tags around thoughts that a version of the rules reads, those of older versions first."""
    return tuple((rule.written[0], rule.written[1]) for rule in _known(semantics) if rule.kind == "thoughts")


def _known(semantics: int) -> list[Rule]:
    return sorted((rule for rule in RULES if rule.since <= semantics), key=lambda rule: rule.since)


MAX_NUMBER = 3
"""Maximum digits of a list's number."""

_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_NUMBER = re.compile(rf"\(?(?:[0-9]{{1,{MAX_NUMBER}}}[.)]|[A-Za-z]\))")
_MENTION = re.compile(rf"(?<![A-Za-z0-9_])(?:{'|'.join(FORMS)})[ \t]*\(")
_OTHER_CALL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*\(")
_DECIDING = {word: rule.kind for rule in RULES if rule.kind in ("keep", "drop", "negation") for word in rule.written}


class Reading:
    """The ways of writing that one version of the rules reads."""

    def __init__(self, semantics: int) -> None:
        self._thoughts = thoughts(semantics)
        self._leads = written("lead", "label", semantics=semantics)
        self._longest_lead = max(map(len, self._leads))
        ends = written("end", semantics=semantics)
        self._end = re.compile("|".join(map(re.escape, ends)))
        openings = (opening for opening, _ in self._thoughts)
        self._line_end = re.compile("|".join(map(re.escape, ("\n", *ends, *openings))))
        self._stray = [
            (opening, re.compile(rf"^[ \t]*{re.escape(closing)}", re.MULTILINE)) for opening, closing in self._thoughts
        ]

    def after_stray_thoughts(self, text: str) -> int:
        """Where the program begins: after a line that closes thoughts opened in the prompt."""
        position = 0
        for opening, pattern in self._stray:
            closing = pattern.search(text)
            if closing is not None and text.find(opening, 0, closing.start()) < 0:
                position = max(position, closing.end())
        return position

    def ends_here(self, text: str, position: int) -> bool:
        """Whether there is an end mark at ``position``."""
        return self._end.match(text, position) is not None

    def answer_end(self, text: str, start: int) -> int:
        """The position of the first end mark from ``start`` on; the text's length if there is none."""
        found = self._end.search(text, start)
        return len(text) if found is None else found.start()

    def skipped(self, text: str, position: int) -> int:
        """Where parsing continues: after thoughts or a lead at ``position``, at the end for an end mark; else ``position``.

        Negative if thoughts are opened and not closed.
        """
        for opening, closing in self._thoughts:
            if text.startswith(opening, position):
                found = text.find(closing, position + len(opening))
                return -1 if found < 0 else found + len(closing)
        if self.ends_here(text, position):
            return len(text)
        here = text[position : position + self._longest_lead].translate(_LOWER)
        for lead in self._leads:
            if here.startswith(lead):
                return position + len(lead)
        number = _NUMBER.match(text, position)
        return position if number is None else number.end()

    def line_end(self, text: str, start: int) -> int:
        """The end of the line from ``start`` on: its newline, or the first end mark or opening of thoughts in it."""
        found = self._line_end.search(text, start)
        return len(text) if found is None else found.start()


READINGS = {semantics: Reading(semantics) for semantics in range(2, NEWEST + 1)}
"""By version of the rules; version 1 has none."""


def is_prose(text: str, start: int, end: int) -> bool:
    """Whether ``text[start:end]``, the rest of a line, has no call of any function."""
    return not (_OTHER_CALL.match(text, start, end) or _MENTION.search(text, start, end))


DECISIONS = 2
"""The version of the rules by which a document's answer decides: a refiner's fingerprint has none, so it stays."""


def decision(answer: str, *, cut: bool = False) -> Literal["keep", "drop"] | None:
    """The decision about a document in an answer without a call; ``None`` if it is not certain.

    ``cut``: the token limit ended the answer. Then only an answer of one word decides, not a word in an unfinished sentence.

    >>> decision("Drop."), decision("I would not drop it"), decision("keep or drop?")
    ('drop', None, None)
    """
    reading = READINGS[DECISIONS]
    position = reading.after_stray_thoughts(answer)
    while position < len(answer) and (after := reading.skipped(answer, position)) != position:
        if after < 0:
            return None
        position = after
    said = answer[position : reading.answer_end(answer, position)].translate(_LOWER)
    words = re.findall(r"[a-z0-9_]+", said)
    if cut and len(words) > 1:
        return None
    kinds = {_DECIDING[word] for word in words if word in _DECIDING}
    return "keep" if kinds == {"keep"} else "drop" if kinds == {"drop"} else None
