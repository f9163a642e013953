"""How models write programs beyond the grammar: every rule is an entry of ``RULES``, with its source.

Version 2 of the rules (``execution.semantics``) reads programs like this, version 1 does not. Only unambiguous ways of writing
have a rule here. ``docs/programs.md`` lists them; ``written_kernels.py`` does the same over bytes.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from prox_spark.programs.operations import FORMS

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
    others, or a ``negation``, is in the answer too.
    """

    kind: Kind
    written: tuple[str, ...]
    source: str


RULES = (
    Rule("thoughts", ("<think>", "</think>"), "Qwen3, DeepSeek-R1; UltraX's executor removes them"),
    Rule("thoughts", ("<thinking>", "</thinking>"), "models prompted for their reasoning"),
    Rule("thoughts", ("[THINK]", "[/THINK]"), "Magistral"),
    Rule("thoughts", ("<reasoning>", "</reasoning>"), "models trained with reinforcement learning on this form"),
    Rule("thoughts", ("<thought>", "</thought>"), "models prompted for their reasoning"),
    Rule("thoughts", ("<seed:think>", "</seed:think>"), "Seed-OSS"),
    Rule("thoughts", ("<|START_THINKING|>", "<|END_THINKING|>"), "Command A"),
    Rule("end", ("<|im_end|>", "<|endoftext|>"), "Qwen, ChatML"),
    Rule("end", ("</s>",), "Llama 2, Mistral"),
    Rule("end", ("<|eot_id|>", "<|end_of_text|>"), "Llama 3"),
    Rule("end", ("<end_of_turn>", "<eos>"), "Gemma"),
    Rule("end", ("<|end|>",), "Phi"),
    Rule("end", ("<\uff5cend\u2581of\u2581sentence\uff5c>",), "DeepSeek"),
    Rule("end", ("<seed:eos>",), "Seed-OSS"),
    Rule("end", ("<|END_RESPONSE|>", "<|END_OF_TURN_TOKEN|>"), "Command A"),
    Rule("lead", (">>>", "..."), "Python's prompts"),
    Rule("lead", ("-", "*", "+", "•", "\u2013", "—"), "list marks"),
    Rule("lead", (">",), "a quotation in Markdown"),
    Rule("lead", ("`",), "code in a line of Markdown"),
    Rule("lead", (";", ",", "."), "between calls in one line, or behind one"),
    Rule("lead", (")",), "the second bracket of a doubled call"),
    Rule("label", ("doc.", "document.", "text.", "page.", "chunk.", "self."), "calls written as methods"),
    Rule("label", ("functions.",), "calls of tools as OpenAI's models write them"),
    Rule("label", ("program:", "answer:", "output:", "operations:", "functions:", "code:", "result:"), "chat models"),
    Rule("label", ("final answer:", "call:", "calls:"), "chat models"),
    Rule("label", ("<answer>", "</answer>"), "models trained with reinforcement learning on this form"),
    Rule("label", ("<code>", "</code>"), "code in HTML"),
    Rule("label", ("<tool_call>", "</tool_call>"), "Qwen's calls of tools"),
    Rule("label", ("<|start_response|>",), "Command A"),
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


def written(*kinds: Kind) -> tuple[str, ...]:
    """All strings of the rules of these kinds, in order."""
    return tuple(word for rule in RULES if rule.kind in kinds for word in rule.written)


THOUGHTS = tuple((rule.written[0], rule.written[1]) for rule in RULES if rule.kind == "thoughts")
ENDS = written("end")
LEADS = written("lead", "label")
MAX_NUMBER = 3
"""Maximum digits of a list's number."""

_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_LONGEST_LEAD = max(map(len, LEADS))
_NUMBER = re.compile(rf"\(?(?:[0-9]{{1,{MAX_NUMBER}}}[.)]|[A-Za-z]\))")
_END = re.compile("|".join(map(re.escape, ENDS)))
_LINE_END = re.compile("|".join(map(re.escape, ("\n", *ENDS, *(opening for opening, _ in THOUGHTS)))))
_MENTION = re.compile(rf"(?<![A-Za-z0-9_])(?:{'|'.join(FORMS)})[ \t]*\(")
_OTHER_CALL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*\(")
_STRAY: list[tuple[str, Callable[[str], "re.Match[str] | None"]]] = [
    (opening, re.compile(rf"^[ \t]*{re.escape(closing)}", re.MULTILINE).search) for opening, closing in THOUGHTS
]
_DECIDING = {word: rule.kind for rule in RULES if rule.kind in ("keep", "drop", "negation") for word in rule.written}


def after_stray_thoughts(text: str) -> int:
    """Where the program begins: after a line that closes thoughts opened in the prompt."""
    position = 0
    for opening, search in _STRAY:
        closing = search(text)
        if closing is not None and text.find(opening, 0, closing.start()) < 0:
            position = max(position, closing.end())
    return position


def ends_here(text: str, position: int) -> bool:
    """Whether there is an end mark at ``position``."""
    return _END.match(text, position) is not None


def skipped(text: str, position: int) -> int:
    """Where parsing continues: after thoughts or a lead at ``position``, at the end for an end mark; else ``position``.

    Negative if thoughts are opened and not closed.
    """
    for opening, closing in THOUGHTS:
        if text.startswith(opening, position):
            found = text.find(closing, position + len(opening))
            return -1 if found < 0 else found + len(closing)
    if ends_here(text, position):
        return len(text)
    here = text[position : position + _LONGEST_LEAD].translate(_LOWER)
    for lead in LEADS:
        if here.startswith(lead):
            return position + len(lead)
    number = _NUMBER.match(text, position)
    return position if number is None else number.end()


def line_end(text: str, start: int) -> int:
    """The end of the line from ``start`` on: its newline, or the first end mark or opening of thoughts in it."""
    found = _LINE_END.search(text, start)
    return len(text) if found is None else found.start()


def is_prose(text: str, start: int, end: int) -> bool:
    """Whether ``text[start:end]``, the rest of a line, has no call of any function."""
    return not (_OTHER_CALL.match(text, start, end) or _MENTION.search(text, start, end))


def decision(answer: str, *, cut: bool = False) -> Literal["keep", "drop"] | None:
    """The decision about a document in an answer without a call; ``None`` if it is not certain.

    ``cut``: the token limit ended the answer. Then only an answer of one word decides, not a word in an unfinished sentence.

    >>> decision("Drop."), decision("I would not drop it"), decision("keep or drop?")
    ('drop', None, None)
    """
    position = after_stray_thoughts(answer)
    while position < len(answer) and (after := skipped(answer, position)) != position:
        if after < 0:
            return None
        position = after
    end = _END.search(answer, position)
    said = answer[position : end.start() if end else len(answer)].translate(_LOWER)
    words = re.findall(r"[a-z0-9_]+", said)
    if cut and len(words) > 1:
        return None
    kinds = {_DECIDING[word] for word in words if word in _DECIDING}
    return "keep" if kinds == {"keep"} else "drop" if kinds == {"drop"} else None
