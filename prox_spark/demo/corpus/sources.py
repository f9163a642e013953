"""The readable sources of the demo corpus, parsed: articles, web sites, pages without an article."""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

import yaml

from prox_spark.errors import InputError

FENCE = "```"


@dataclass(frozen=True)
class Block:
    """A group of lines of one kind on a page.

    ``kind`` is one of title, byline, heading, paragraph, list, table, code, author, signature (parts of an article) and
    menu, top, middle, bottom, footer (parts of a site). ``keep``: True is content, False is boilerplate, None is a line
    about which careful readers differ (a byline, the name above a forum post).
    """

    kind: str
    lines: tuple[str, ...]
    keep: bool | None


@dataclass(frozen=True)
class Article:
    """One text with its author and tags; ``genre`` is the name of its file, ``kind`` is article, thread or product."""

    slug: str
    genre: str
    kind: str
    language: str
    title: str
    by: str
    tags: tuple[str, ...]
    blocks: tuple[Block, ...]

    @property
    def characters(self) -> int:
        """Length of the article's own text, without line ends."""
        return sum(len(line) for block in self.blocks for line in block.lines)


@dataclass(frozen=True)
class Skin:
    """One invented web site; the five tuples are lines of boilerplate, with ``{…}`` fields that the builder fills."""

    name: str
    host: str
    language: str
    genres: tuple[str, ...]
    menu: tuple[str, ...]
    top: tuple[str, ...]
    middle: tuple[str, ...]
    bottom: tuple[str, ...]
    footer: tuple[str, ...]


@dataclass(frozen=True)
class Oddment:
    """A page without an article: error, login wall, parked domain, empty search, notice."""

    kind: str
    title: str
    lines: tuple[str, ...]


@functools.cache
def articles() -> tuple[Article, ...]:
    """All articles, by file name and then in the order of the file.

    Raises ``InputError`` if an article has no title or two share a slug.
    """
    folder = files(__package__) / "articles"
    found: list[Article] = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".txt"):
            genre = entry.name.removesuffix(".txt")
            found.extend(_article(genre, part) for part in re.split(r"^=== ", entry.read_text("utf-8"), flags=re.M)[1:])
    if len({article.slug for article in found}) != len(found):
        raise InputError("two articles of the demo corpus share a slug: rename one in prox_spark/demo/corpus/articles")
    return tuple(found)


@functools.cache
def skins() -> tuple[Skin, ...]:
    """All web sites, in the order of ``skins.yaml``."""
    records = yaml.safe_load((files(__package__) / "skins.yaml").read_text("utf-8"))
    return tuple(
        Skin(
            name=record["name"],
            host=record["host"],
            language=record.get("lang", "en"),
            **{key: tuple(record[key]) for key in ("genres", "menu", "top", "middle", "bottom", "footer")},
        )
        for record in records
    )


@functools.cache
def oddments() -> tuple[Oddment, ...]:
    """All pages without an article, in the order of ``oddments.yaml``."""
    records = yaml.safe_load((files(__package__) / "oddments.yaml").read_text("utf-8"))
    return tuple(Oddment(record["kind"], record["title"], tuple(record["lines"])) for record in records)


def _article(genre: str, source: str) -> Article:
    head, _, body = source.partition("\n\n")
    slug, *fields = head.split("\n")
    field = dict(line.split(": ", 1) for line in fields)
    if "title" not in field:
        raise InputError(f"article {slug!r} in demo/corpus/articles/{genre}.txt has no title: add a line 'title: …'")
    return Article(
        slug=slug.strip(),
        genre=genre,
        kind=field.get("kind", "article"),
        language=field.get("lang", "en"),
        title=field["title"],
        by=field.get("by", ""),
        tags=tuple(tag.strip() for tag in field["tags"].split(",")),
        blocks=tuple(_blocks(body.rstrip("\n").split("\n"))),
    )


def _blocks(lines: list[str]) -> Iterator[Block]:
    """Groups an article's lines: each line is a block, except that lists, tables and code stay together."""
    kind, held = "", list[str]()
    for line in lines:
        if kind == "code":
            if line == FENCE:
                yield Block("code", tuple(held), True)
                kind, held = "", []
            else:
                held.append(line)
            continue
        this = _kind(line)
        if held and this != kind:
            yield Block(kind, tuple(held), True)
            held = []
        kind = this
        if this in ("list", "table"):
            held.append(line)
        elif this in ("author", "signature", "heading"):
            text = re.sub(r"^(?:@|~|##) ", "", line)
            yield Block(this, (text,), {"author": None, "signature": False, "heading": True}[this])
        elif this == "paragraph":
            yield Block(this, (line,), True)
    if held:
        yield Block(kind, tuple(held), True)


def _kind(line: str) -> str:
    if line.startswith(FENCE):
        return "code"
    if not line.strip():
        return "blank"
    if re.match(r"- |\d+\. ", line):
        return "list"
    starts = {"| ": "table", "## ": "heading", "@ ": "author", "~ ": "signature"}
    return next((kind for start, kind in starts.items() if line.startswith(start)), "paragraph")
