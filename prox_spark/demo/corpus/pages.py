"""The pages of the demo corpus: articles and junk, each in the layout of a web site, with labels of the content."""

import functools
import random
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, cycle, groupby
from typing import Any

from prox_spark.demo.corpus import junk
from prox_spark.demo.corpus.sources import Article, Block, Skin, articles, oddments, skins

FORMATS = ("c4", "dclm", "fineweb", "warc")
SHARES = {"c4": 0.27, "dclm": 0.26, "fineweb": 0.26, "warc": 0.21}
"""Share of the pages that each format gets."""

SITE_LINES = {"c4": 0.25, "dclm": 0.8, "fineweb": 0.5, "warc": 0.9}
"""Share of a site's lines that a format's text extraction leaves in; C4 keeps sentences and drops most other lines."""

BULLETS = {"c4": "", "dclm": "• ", "fineweb": "- ", "warc": ""}
CELLS = {"c4": " ", "dclm": "\t", "fineweb": " | ", "warc": "\t"}
SHORTEST_SPLIT = 1380
"""Shorter articles (in characters) get one page instead of two; threads, products and scripts without spaces are
split from 300 characters on."""


@dataclass(frozen=True)
class Page:
    """One page: its address, what kind of page it is, and its blocks from top to bottom, in order of the text.

    ``keep_document`` is False for pages without anything worth keeping; all their lines are boilerplate.
    """

    format: str
    url: str
    kind: str
    language: str
    date: str
    title: str
    keep_document: bool
    blocks: tuple[Block, ...]

    @property
    def record_id(self) -> str:
        """``<urn:uuid:…>``, derived from the address and therefore the same in each build."""
        return f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, self.url)}>"

    @functools.cached_property
    def lines(self) -> tuple[tuple[str, bool | None], ...]:
        """Text lines with their keep flags; DCLM's extraction leaves an empty line between blocks (flag None)."""
        found: list[tuple[str, bool | None]] = []
        for block in self.blocks:
            if found and self.format == "dclm" and block.kind in ("paragraph", "heading", "code", "table", "list"):
                found.append(("", None))
            found.extend((line, block.keep) for line in _text_lines(block, self.format))
        return tuple(found)

    @property
    def text(self) -> str:
        """The extracted text: its lines joined by line ends."""
        return "\n".join(line for line, _ in self.lines)


def labels() -> list[dict[str, Any]]:
    """Labels of the content of each page in the JSON and Parquet files.

    One dictionary per page: ``file`` (format: c4, dclm, fineweb), ``url``, ``id`` (None for C4), ``kind``,
    ``keep_document``, and ``keep``, one flag per line of ``text.split("\\n")``: True, False, or None if it is unclear.
    WARC pages are absent, because their lines depend on the extraction.
    """
    return [
        {
            "file": page.format,
            "url": page.url,
            "id": None if page.format == "c4" else page.record_id,
            "kind": page.kind,
            "keep_document": page.keep_document,
            "keep": [keep for _, keep in page.lines],
        }
        for page in pages()
        if page.format != "warc"
    ]


@functools.cache
def pages() -> tuple[Page, ...]:
    """All pages in the order of the files; the same at each call and in each process."""
    made = list(chain(_article_pages(), _front_pages(), _collections(), _junk_pages()))
    random.Random("order of the pages").shuffle(made)
    return tuple(made)


def _article_pages() -> Iterator[Page]:
    without_spaces = cycle(FORMATS)
    formats = _formats("articles")
    for article in articles():
        parts = _parts(article)
        sites = _sites(article)
        for number, blocks in enumerate(parts, 1):
            rng = random.Random(f"{article.slug} {number}")
            skin = sites[(number - 1 + rng.randrange(len(sites))) % len(sites)]
            code = any("{" in line for block in blocks for line in block.lines)
            chosen = next(without_spaces) if article.language in ("zh", "ja") else next(formats)
            # C4 drops pages with a curly bracket (C4, section 2.2).
            yield _article_page(
                article, number, len(parts), blocks, skin, "dclm" if code and chosen == "c4" else chosen
            )


def _article_page(article: Article, number: int, count: int, blocks: Sequence[Block], skin: Skin, into: str) -> Page:
    rng = random.Random(f"{article.slug} {number} {skin.host}")
    date = _date(rng)
    fill = _Fill(rng, article.title, article.tags, date, _related(article, rng))
    body: list[Block] = [Block("title", (article.title,), True)]
    if article.by:
        body.append(Block("byline", (_byline(rng, article, date),), None))
    places = (
        set(rng.sample(range(1, len(blocks)), k=min(len(blocks) - 1, rng.randint(1, 2)))) if len(blocks) > 1 else set()
    )
    for place, block in enumerate(blocks):
        if place in places and not (article.kind == "thread" and block.kind != "author"):
            body += fill.lines("middle", rng.sample(skin.middle, k=1))
        body.append(block)
        if block.kind == "author" and article.genre == "forum":
            member = random.Random(block.lines[0])
            since, messages = f"{member.choice(junk.MONTHS)[:3]} {member.randint(2010, 2015)}", member.randint(3, 9400)
            joined = f"Joined: {since}  Messages: {messages}"
            body.append(Block("middle", (joined,), False))
        last = place + 1 == len(blocks) or blocks[place + 1].kind == "author"
        if article.kind == "thread" and last:
            body.append(
                Block("middle", (rng.choice(["Like  Quote  Reply", "Reply", "Report  #" + str(place + 1)]),), False)
            )
    if count > 1:
        pager = f"Page {number} of {count}" if number > 1 else f"1 2 Next page: {article.title}"
        body += [] if article.language in ("zh", "ja") else [Block("middle", (pager,), False)]
    url = f"https://{skin.host}/{article.genre}/{article.slug}" + (f"/{number}" if number > 1 else "")
    return Page(
        into, url, article.kind, article.language, date, article.title, True, _dressed(body, skin, into, rng, fill)
    )


def _front_pages() -> Iterator[Page]:
    """Older start pages of sites: the first paragraphs of three or four articles, each announced at most once."""
    formats = _formats("front pages")
    waiting = [article for article in articles() if article.kind == "article" and article.language == "en"]
    groups = [list(group) for _, group in groupby(waiting, key=lambda article: article.genre)]
    chosen_together = [group[start : start + 4] for group in groups for start in range(0, len(group) - 2, 4)]
    for number, chosen in enumerate(chosen_together):
        rng = random.Random(f"front page {number}")
        skin = rng.choice(_sites(chosen[0]))
        date = _date(rng)
        fill = _Fill(rng, skin.name, chosen[0].tags, date, [article.title for article in chosen])
        body = [Block("title", (f"Welcome to {skin.name}",), None)]
        for article in chosen:
            lead = next(block for block in article.blocks if block.kind == "paragraph")
            body += [
                Block("heading", (article.title,), True),
                Block("byline", (_byline(rng, article, date),), None),
                lead,
            ]
            body += fill.lines("middle", [rng.choice(["Read more", "Continue reading →", "Full story", "[…]"])])
        body += fill.lines("middle", ["Older entries", f"1 2 3 … {rng.randint(5, 60)}"])
        url = f"https://{skin.host}/page/{number + 2}"
        yield Page(next(formats), url, "front", "en", date, skin.name, True, _dressed(body, skin, "dclm", rng, fill))


def _collections() -> Iterator[Page]:
    """Long pages, with six articles of one genre in full: more than one window of a chunk refiner."""
    genres = ("science", "recipes", "repair", "history", "travel", "essays")
    for number, (genre, into) in enumerate(zip(genres, cycle(FORMATS), strict=False)):
        rng = random.Random(f"collection {genre}")
        chosen = rng.sample([article for article in articles() if article.genre == genre], k=6)
        skin, date = rng.choice(_sites(chosen[0])), _date(rng)
        title = f"The best of {skin.name}: six pieces in full"
        fill = _Fill(rng, title, chosen[0].tags, date, _related(chosen[0], rng))
        body = [Block("title", (title,), True)]
        for article in chosen:
            body += [Block("heading", (article.title,), True), Block("byline", (_byline(rng, article, date),), None)]
            body += article.blocks
            body += fill.lines("middle", rng.sample(skin.middle, k=2))
        url = f"https://{skin.host}/collections/{number + 1}"
        yield Page(into, url, "collection", "en", date, title, True, _dressed(body, skin, into, rng, fill))


def _junk_pages() -> Iterator[Page]:
    formats = _formats("junk")
    for number, (kind, title, lines) in enumerate(_junk()):
        rng = random.Random(f"junk page {number}")
        skin = rng.choice([skin for skin in skins() if skin.language == "en"])
        date = _date(rng)
        fill = _Fill(rng, title, ("offers", "news"), date, [article.title for article in articles()[:20]])
        into = next(formats)
        if kind == "lorem" and into == "c4":
            into = "fineweb"  # C4 drops pages with "lorem ipsum" (C4, section 2.2).
        host = f"{kind}{number}.example" if kind in ("spam", "parked", "links", "lorem") else skin.host
        body = [Block("title", (title,), False), *(Block("paragraph", (line,), False) for line in lines)]
        blocks = tuple(body) if kind in ("spam", "parked") else _dressed(body, skin, into, rng, fill)
        yield Page(into, f"https://{host}/{kind}/{number}", kind, "en", date, title, False, blocks)


def _junk() -> Iterator[tuple[str, str, list[str]]]:
    """Kind, title and lines of each junk page."""
    for oddment in oddments():
        yield oddment.kind, oddment.title, list(oddment.lines)
    for number in range(3):
        for spam in junk.SPAM:
            lines = spam(random.Random(f"{spam.__name__} {number}"))
            yield "spam", lines[0][:60], lines
    for number in range(5):
        yield "lorem", f"Your company name {number + 1}", junk.lorem(random.Random(f"lorem {number}"))
    for number in range(6):
        yield "links", f"Links, page {number + 1}", junk.link_list(random.Random(f"links {number}"))
    tags = sorted({tag for article in articles() if article.language == "en" for tag in article.tags})
    for tag in random.Random("tag pages").sample(tags, k=8):
        rng = random.Random(f"tag {tag}")
        titles = [article.title for article in articles() if article.language == "en"]
        yield "tag", f"Posts tagged {tag}", junk.tag_page(rng, tag, rng.sample(titles, k=rng.randint(3, 7)))


@dataclass(frozen=True)
class _Fill:
    """The values of the ``{…}`` fields of a site's lines on one page."""

    rng: random.Random
    title: str
    tags: tuple[str, ...]
    date: str
    related: list[str]

    def lines(self, kind: str, templates: Sequence[str]) -> list[Block]:
        return [Block(kind, (self._filled(template),), False) for template in templates]

    def _filled(self, template: str) -> str:
        return template.format(
            title=self.title,
            tags=", ".join(self.tags),
            date=self.date,
            year=self.date[:4],
            n=self.rng.randint(2, 9),
            votes=self.rng.randint(101, 989),
            related=self.rng.choice(self.related),
        )


def _dressed(body: Sequence[Block], skin: Skin, into: str, rng: random.Random, fill: _Fill) -> tuple[Block, ...]:
    """The body between the lines that this format's extraction leaves of the site's head and foot."""
    blocks: list[Block] = []
    if rng.random() < SITE_LINES[into]:
        menu = rng.sample(skin.menu, k=max(3, len(skin.menu) - rng.randint(0, 3)))
        menu = sorted(menu, key=skin.menu.index)
        joined = rng.choice(["", " | ", "  ", " · "])
        blocks.append(Block("menu", (joined.join(menu),) if joined and into != "warc" else tuple(menu), False))
    blocks += fill.lines("top", _left(skin.top, into, rng))
    blocks += body
    bottom = [line for block in fill.lines("bottom", _left(skin.bottom, into, rng)) for line in block.lines]
    blocks += [Block("bottom", tuple(bottom), False)] if bottom else []
    if into != "c4" and rng.random() < 0.7:
        others = [title for title in fill.related if title != fill.title]
        heading = {"zh": "更多文章", "ja": "おすすめ記事", "de": "Mehr", "fr": "Voir aussi", "es": "Más"}.get(
            skin.language
        )
        related = rng.sample(others, k=min(len(others), rng.randint(2, 4)))
        blocks.append(
            Block(
                "bottom",
                (heading or rng.choice(["Related articles", "You may also like", "Read next"]), *related),
                False,
            )
        )
    return (*blocks, *fill.lines("footer", _left(skin.footer, into, rng)))


def _left(lines: Sequence[str], into: str, rng: random.Random) -> list[str]:
    """The lines that survive extraction; C4 keeps nearly all that end like a sentence."""
    return [
        line
        for line in lines
        if rng.random() < (0.9 if into == "c4" and re.search(r"\w{2,}[.!?]$", line) else SITE_LINES[into])
    ]


def _parts(article: Article) -> list[tuple[Block, ...]]:
    """One or two parts of about equal length; a thread is split between posts, and no heading ends a part."""
    spaced = article.language not in ("zh", "ja")
    if article.characters < (SHORTEST_SPLIT if spaced and article.kind == "article" else 300) or article.language in (
        "de",
        "fr",
        "es",
    ):
        return [article.blocks]
    before, best, cut = 0, article.characters, 0
    for place, block in enumerate(article.blocks):
        follows_heading = place > 0 and article.blocks[place - 1].kind == "heading"
        allowed = block.kind == "author" if article.kind == "thread" else not follows_heading
        if place and allowed and abs(2 * before - article.characters) < best:
            best, cut = abs(2 * before - article.characters), place
        before += sum(len(line) for line in block.lines)
    return [article.blocks[:cut], article.blocks[cut:]] if cut else [article.blocks]


def _sites(article: Article) -> list[Skin]:
    return [skin for skin in skins() if article.genre in skin.genres and article.language == skin.language]


def _related(article: Article, rng: random.Random) -> list[str]:
    """Titles of up to six other texts in the article's language, those of its genre first."""
    others = [other for other in articles() if other.language == article.language and other.slug != article.slug]
    rng.shuffle(others)
    others.sort(key=lambda other: other.genre != article.genre)
    return [other.title for other in others[:6]] or [article.title]


def _formats(name: str) -> Iterator[str]:
    """An endless sequence of formats, in the shares of ``SHARES`` and in a separate order for each name."""
    deck = [into for into, share in SHARES.items() for _ in range(round(100 * share))]
    random.Random(f"formats of {name}").shuffle(deck)
    return cycle(deck)


def _date(rng: random.Random) -> str:
    return f"{rng.randint(2016, 2024)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"


def _byline(rng: random.Random, article: Article, date: str) -> str:
    if article.language == "zh":
        return f"作者 {article.by}  {date}"
    if article.language == "ja":
        return f"文・{article.by}  {date}"
    if article.language != "en":
        return f"{article.by}, {date}"
    return rng.choice([f"By {article.by} | {date}", f"{article.by} · {date}", f"Posted by {article.by} on {date}"])


def _text_lines(block: Block, into: str) -> list[str]:
    """Lines of a block as the text extraction of a format writes them."""
    if block.kind == "list":
        return [re.sub(r"^- ", BULLETS[into], line) for line in block.lines]
    if block.kind == "table":
        rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in block.lines]
        return [f"| {' | '.join(row)} |" if into == "fineweb" else CELLS[into].join(row) for row in rows]
    if block.kind == "paragraph" and block.keep:
        return [re.sub(r"`([^`]+)`|\*(\w+)\*", r"\1\2", line) for line in block.lines]
    return list(block.lines)
