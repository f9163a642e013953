"""Form and position of a line as special tokens, for small models that score lines.

Whether a line belongs to a page's content shows less in its words than in its length, its last character, its repeats and
its place. A small model does not learn to count from a few thousand pages, so the prompt includes marks: four end every line,
two begin every chunk. The marks are entries of the refiner's vocabulary; their buckets never change once released.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence

_WORDS = (1, 2, 3, 4, 5, 7, 10, 15, 25, 50)
_ENDS = 6
_PAGE_WORDS = (50, 150, 300, 600, 1000, 2000, 4000)
_PAGE_LONG = (0.1, 0.3, 0.5, 0.7, 0.9)
_LONG_LINE = 10
_CAPITALS = (0.3, 0.75)
_DIGITS = (0.02, 0.2)
_SEPARATORS = frozenset("|/\u2022\u00bb\u203a\u00b7\u2013")
"""Bar, slash, bullet, two angle quotes, middle dot, dash: what stands between links."""
_PLACES = 10
_REPEATS = 3
_SHORT = 3
_SHORT_WORDS = (0.15, 0.3, 0.45)
_WORD_LENGTHS = (4.5, 6.5)
_COMMAS = (1, 3)
_FURNITURE = frozenset(
    (
        "about",
        "account",
        "advertisement",
        "advertisements",
        "archive",
        "archives",
        "categories",
        "category",
        "click",
        "comment",
        "comments",
        "contact",
        "cookie",
        "cookies",
        "copyright",
        "download",
        "email",
        "facebook",
        "follow",
        "forum",
        "home",
        "instagram",
        "latest",
        "like",
        "linkedin",
        "login",
        "logout",
        "menu",
        "more",
        "navigation",
        "newsletter",
        "next",
        "pinterest",
        "policy",
        "popular",
        "posted",
        "powered",
        "previous",
        "print",
        "privacy",
        "read",
        "register",
        "related",
        "reply",
        "reserved",
        "reviews",
        "rights",
        "rss",
        "search",
        "share",
        "shop",
        "sign",
        "sitemap",
        "skip",
        "subscribe",
        "tags",
        "terms",
        "tweet",
        "twitter",
        "views",
        "whatsapp",
        "youtube",
    )
)
"""Words that a page's frame is made of, in English."""
_PAGE_SENTENCES = (0.2, 0.4, 0.6, 0.8, 0.95)
_PAGE_BLANK = (0.01, 0.2, 0.45)

_SIZES = {
    "line": (len(_WORDS) + 1) * _ENDS,
    "place": _REPEATS * _PLACES,
    "shape": (len(_CAPITALS) + 1) * (len(_DIGITS) + 1) * 2,
    "prose": (len(_SHORT_WORDS) + 1) * (len(_WORD_LENGTHS) + 1) * (len(_COMMAS) + 1) * 2,
    "page": (len(_PAGE_WORDS) + 1) * (len(_PAGE_LONG) + 1),
    "form": (len(_PAGE_SENTENCES) + 1) * (len(_PAGE_BLANK) + 1),
}

MARKS = tuple(f"<|{kind} {number}|>" for kind, size in _SIZES.items() for number in range(size))
"""Every mark as the vocabulary has it; ``page_marks`` gives their places in this tuple."""

_FIRST = {kind: sum(list(_SIZES.values())[:place]) for place, kind in enumerate(_SIZES)}


def page_marks(lines: Sequence[str]) -> tuple[tuple[int, int], list[tuple[int, int, int, int]]]:
    """The page's two marks (length and share of prose; sentence ends and blank lines), and each line's four: place and
    repeats, shape, prose, words and ending. Linear in the text."""
    total = max(sum(len(line.split()) for line in lines), 1)
    repeats = Counter(line.strip().lower() for line in lines)
    marks, before, long, sentences, blank = [], 0, 0, 0, 0
    # Lines are split twice: to keep all words of a long page costs many times its size.
    for line in lines:
        split, text = line.split(), line.strip()
        again = min(repeats[text.lower()], _REPEATS) - 1
        place = again * _PLACES + min(_PLACES * before // total, _PLACES - 1)
        ending = _ending(text)
        length = _bucket(len(split), _WORDS) * _ENDS + ending
        marks.append(
            (
                _FIRST["place"] + place,
                _FIRST["shape"] + _shape(text, split),
                _FIRST["prose"] + _prose(text, split),
                _FIRST["line"] + length,
            )
        )
        before += len(split)
        long += len(split) if len(split) >= _LONG_LINE else 0
        sentences += ending <= 1
        blank += not split
    page = _bucket(total, _PAGE_WORDS) * (len(_PAGE_LONG) + 1) + _bucket(long / total, _PAGE_LONG)
    form = _bucket(sentences / max(len(lines) - blank, 1), _PAGE_SENTENCES) * (len(_PAGE_BLANK) + 1)
    form += _bucket(blank / max(len(lines), 1), _PAGE_BLANK)
    return (_FIRST["page"] + page, _FIRST["form"] + form), marks


def _bucket(value: float, edges: Sequence[float]) -> int:
    """How many of the edges, which ascend, the value reaches."""
    return bisect_right(edges, value)


def _ending(text: str) -> int:
    last = text[-1:]
    if text.endswith("...") or last == "…":
        return 4
    for kind, characters in enumerate((".!?", "\"'\u201d\u2019)", ":;", ",")):
        if last and last in characters:
            return kind
    return 5


def _shape(text: str, words: Sequence[str]) -> int:
    """Share of capitalised words and of digits, and whether there is a separator of link lists."""
    capitals = sum([word[0].isupper() for word in words]) / max(len(words), 1)
    digits = _digits(text) / max(len(text), 1)
    separated = not _SEPARATORS.isdisjoint(text)
    return (_bucket(capitals, _CAPITALS) * (len(_DIGITS) + 1) + _bucket(digits, _DIGITS)) * 2 + separated


def _digits(text: str) -> int:
    if text.isascii():
        # Several times faster than asking each character.
        return len(text) - len(text.encode().translate(None, b"0123456789"))
    return sum(map(str.isdigit, text))


def _prose(text: str, words: Sequence[str]) -> int:
    """Share of short words, mean length of a word, commas, and whether there is a word of a page's frame."""
    count, lengths = max(len(words), 1), [len(word) for word in words]
    short = _bucket(sum([length <= _SHORT for length in lengths]) / count, _SHORT_WORDS)
    length = _bucket(sum(lengths) / count, _WORD_LENGTHS)
    commas = _bucket(text.count(","), _COMMAS)
    furniture = not _FURNITURE.isdisjoint([word.strip(".,:;!?()[]|") for word in text.lower().split()])
    return ((short * (len(_WORD_LENGTHS) + 1) + length) * (len(_COMMAS) + 1) + commas) * 2 + furniture
