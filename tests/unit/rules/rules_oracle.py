"""The rules in plain Python, line by line and word by word, as ``catalogue.py`` states them: what the kernels must equal."""

import math
import re
from collections import Counter
from collections.abc import Sequence

from prox_spark.execution.words import SPACELESS_RANGES

MARKS = "\u3001-\u3003\u3008-\u301f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
_SPACELESS = "".join(f"{chr(low)}-{chr(high)}" for low, high in SPACELESS_RANGES)
_WORD = re.compile(f"[{_SPACELESS}]{{1,2}}|[^\\s{MARKS}{_SPACELESS}]+")
_IS_SPACELESS = re.compile(f"[{_SPACELESS}]")
_ENDS = (".", "!", "?", '"', "”", "。", "！", "？", "」", "』", "।", "؟")  # noqa: RUF001
_POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
_STOP_WORDS = {"the", "be", "to", "of", "and", "that", "have", "with"}
_BEGINS = re.compile(r"(sign in|sign-in|sign up|sign-up|signup|log in|log-in|login|register|skip to)(?![a-z])")
_ENDING = re.compile(r"(read more|see more|show more|view more|load more|continue reading)[^a-z]*\Z")
_COUNTED = (
    "like|share|comment|reply|replie|view|follower|subscriber|vote|upvote|review|rating|download|tweet|retweet|repost|"
    "reaction|point|favorite|favourite"
)
_NUMBER = re.compile(r"[0-9][0-9.,]*[km]?\+?")
_IS_COUNTED = re.compile(rf"({_COUNTED})s?[^a-z]*")


def words(text: str) -> list[str]:
    return _WORD.findall(text)


def ascii_lower(text: str) -> str:
    return "".join(c.lower() if c.isascii() else c for c in text)


def lines_of(text: str) -> list[tuple[int, str]]:
    """Number and stripped text of the lines that are not blank."""
    return [(number, line.strip()) for number, line in enumerate(text.split("\n")) if line.strip()]


def _is_counter(found: list[str]) -> bool:
    return len(found) == 2 and bool(_NUMBER.fullmatch(found[0]) and _IS_COUNTED.fullmatch(found[1]))


def line_hits(line: str) -> set[str]:
    """The line rules that hit a stripped line."""
    lower, count = ascii_lower(line), len(words(line))
    filled = [c for c in line if not c.isspace()]
    cart = any(phrase in lower for phrase in ("items in cart", "item in cart", "in your cart"))
    hits = {
        "c4_terminal_punctuation": not line.endswith(_ENDS),
        "c4_ellipsis": line.endswith("..."),
        "c4_few_words": count < 5,
        "c4_javascript": "javascript" in lower,
        "c4_policy": any(phrase in lower for phrase in _POLICY),
        "c4_long_word": any(len(word) > 1000 for word in words(line)),
        "fineweb_few_words": count < 3,
        "refinedweb_uppercase": sum(c.isupper() for c in filled) > 0.5 * len(filled),
        "refinedweb_numeric": all(c.isdigit() for c in filled),
        "refinedweb_counter": _is_counter(words(lower)),
        "refinedweb_one_word": count == 1,
        "refinedweb_navigation": count <= 10
        and (cart or _BEGINS.match(lower) is not None or _ENDING.search(lower) is not None),
    }
    return {name for name, hit in hits.items() if hit}


def removed_runs(text: str, rules: Sequence[str]) -> list[tuple[int, int]]:
    """Runs of lines (first, last) that a rule removes; a blank line goes where the lines around it do."""
    last = text.count("\n")
    fate: list[bool | None] = [None] * (last + 1)
    for number, line in lines_of(text):
        fate[number] = bool(line_hits(line) & set(rules))
    runs: list[tuple[int, int]] = []
    removed = [number for number, gone in enumerate(fate) if gone]
    for number in removed:
        if runs and False not in fate[runs[-1][1] : number]:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    # Blank lines at the document's ends have a neighbour on one side only.
    if runs and False not in fate[: runs[0][0]]:
        runs[0] = (0, runs[0][1])
    if runs and False not in fate[runs[-1][1] + 1 :]:
        runs[-1] = (runs[-1][0], last)
    return runs


def sentences(line: str) -> int:
    """A mark, perhaps closing quotes, then white space or the end; marks of scripts without spaces end one at once."""
    count, position, begun = 0, 0, False
    while position < len(line):
        run = re.compile("[.!?…।؟。！？][.!?…।؟。！？\"')\\]’”」』]*").match(line, position)  # noqa: RUF001
        if run is None:
            begun = begun or not line[position].isspace()
            position += 1
            continue
        position = run.end()
        begun = True
        after = line[position : position + 1]
        if after and (after.isspace() or re.search("[。！？]", run.group())):  # noqa: RUF001
            count += 1
            begun = False
    return count + begun


def _again(items: Sequence[str]) -> list[str]:
    seen: set[str] = set()
    again = []
    for item in items:
        if item in seen:
            again.append(item)
        seen.add(item)
    return again


def _share(part: float, whole: float) -> float:
    return part / max(whole, 1)


def _top(found: list[str], n: int) -> int:
    grams = [tuple(found[i : i + n]) for i in range(len(found) - n + 1)]
    if not grams:
        return 0
    gram, count = Counter(grams).most_common(1)[0]
    return count * len(" ".join(gram))


def _duplicates(found: list[str], n: int) -> int:
    seen, total, i = set(), 0, 0
    while i + n <= len(found):
        gram = tuple(found[i : i + n])
        if gram in seen:
            total += sum(map(len, gram))
            i += n
        else:
            seen.add(gram)
            i += 1
    return total


def measures(text: str) -> dict[str, float]:
    """Every measure of ``catalogue.MEASURES``."""
    numbered = lines_of(text)
    lines, found = [line for _, line in numbered], words(text)
    n, characters = len(found), len(text)
    lower = ascii_lower(text)
    spaced = [word for word in found if not _IS_SPACELESS.match(word)]
    hashes, ellipses = text.count("#"), text.count("...") + text.count("…")
    c4 = {"c4_terminal_punctuation", "c4_ellipsis", "c4_few_words", "c4_javascript", "c4_policy", "c4_long_word"}
    hits = [line_hits(line) for line in lines]
    flagged = [line for line, hit in zip(lines, hits, strict=True) if any(h.startswith("refinedweb") for h in hit)]
    paragraphs = _paragraphs(text)
    repeated, repeated_paragraphs = _again(lines), _again(paragraphs)
    again_characters = sum(map(len, repeated))
    return {
        "words": n,
        "lorem_ipsum": "lorem ipsum" in lower,
        "symbols_per_word": _share(hashes + ellipses, n),
        "punctuated_lines": _share(sum(line.endswith(_ENDS) for line in lines), len(lines)),
        "short_lines": _share(sum(len(line) < 30 for line in lines), len(lines)),
        "repeated_line_characters": _share(again_characters, sum(map(len, lines))),
        "newlines_per_word": _share(text.count("\n"), n),
        "word_length": sum(map(len, spaced)) / len(spaced) if 2 * len(spaced) > n else math.nan,
        "hashes_per_word": _share(hashes, n),
        "ellipses_per_word": _share(ellipses, n),
        "bullets": _share(sum(line.startswith(("•", "-")) for line in lines), len(lines)),
        "ellipsis_lines": _share(sum(line.endswith(("...", "…")) for line in lines), len(lines)),
        "alphabetic_words": _share(sum(any(c.isalpha() for c in word) for word in found), n),
        "stop_words": len(_STOP_WORDS & set(found)),
        "curly_brackets": "{" in text,
        "sentences": sum(sentences(line) for line, hit in zip(lines, hits, strict=True) if not hit & c4),
        "flagged_words": _share(sum(len(words(line)) for line in flagged), n),
        "duplicate_lines": _share(len(repeated), len(lines)),
        "duplicate_line_characters": _share(again_characters, characters),
        "duplicate_paragraphs": _share(len(repeated_paragraphs), len(paragraphs)),
        "duplicate_paragraph_characters": _share(sum(map(len, repeated_paragraphs)), characters),
        **{f"top_{k}_gram": _share(_top(found, k), characters) for k in (2, 3, 4)},
        **{f"duplicate_{k}_grams": _share(_duplicates(found, k), characters) for k in range(5, 11)},
    }


def _paragraphs(text: str) -> list[str]:
    found: list[list[str]] = [[]]
    for line in text.split("\n"):
        if line.strip():
            found[-1].append(line)
        else:
            found.append([])
    return ["\n".join(lines).strip() for lines in found if lines]
