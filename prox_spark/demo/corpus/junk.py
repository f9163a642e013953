"""Pages without value for readers: spam, placeholder text, link lists and thin tag pages, made from word lists.

Each function returns the lines of a page's body; all words, names and hosts are invented.
"""

import random
from collections.abc import Callable


def _words(text: str, separator: str | None = None) -> list[str]:
    return [word.strip() for word in text.split(separator)]


TOWNS = _words("Ostley Harrowby Vellmouth Sandwick Llanfest Brackmere Tollen Quarrow Dunhythe Esterby Marl Weyfold")
WARES = _words("replica watches, garden sheds, car insurance, roof repair, wedding favours, used forklifts, loans", ",")
GAMES = _words("slots roulette jackpot blackjack bonus spins betting bingo poker deposit wager croupier vegas reels")
PILLS = _words("vigorolux slimexoral calmadrix zapodolor musclonax hairgrowix sleepomarin detoxumil nervolatan")
FILLER = _words(
    "online free best no-prescription discount overnight 24/7 instant guaranteed cheap official top trusted"
)
LATIN = _words(
    "lorem ipsum dolor sit amet consectetur adipiscing elit tempus varius nulla facilisi morbi quis lacus "
    "vitae turpis donec porta sem integer felis mauris nec augue posuere vestibulum ligula praesent at orci"
)
MONTHS = _words("January February March April May June July August September October November December")


def keyword_stuffing(rng: random.Random) -> list[str]:
    """The same three words with each town, over and over."""
    ware = rng.choice(WARES)
    lines = [f"{ware} {town}, {rng.choice(FILLER)} {ware} {town}, {ware} near {town}, buy {ware}" for town in TOWNS]
    rng.shuffle(lines)
    return [f"{ware.title()} - {ware} - {rng.choice(FILLER)} {ware} - {ware} prices", *lines, ", ".join([ware] * 30)]


def casino(rng: random.Random) -> list[str]:
    """Word salad about gambling."""
    return [_salad(rng, GAMES + FILLER, rng.randint(18, 45)) for _ in range(rng.randint(8, 14))]


def pills(rng: random.Random) -> list[str]:
    """Word salad about invented medicines, with prices."""
    lines = []
    for _ in range(rng.randint(10, 18)):
        pill = rng.choice(PILLS)
        words = _salad(rng, [*FILLER, pill, rng.choice(PILLS), "buy", "order", "mg", "without", "doctor"], 16)
        lines.append(
            f"{pill.upper()} {rng.choice([5, 10, 20, 50])}mg ${rng.randint(0, 3)}.{rng.randint(10, 99)} {words}"
        )
    return lines


def repetition(rng: random.Random) -> list[str]:
    """One sentence of a broken template, with a counter."""
    ware, town = rng.choice(WARES), rng.choice(TOWNS)
    start = rng.randint(100, 900)
    return [
        f"Item {start + n}: {ware} in {town} is currently not rated. Be the first to rate {ware}." for n in range(40)
    ]


def doorway(rng: random.Random) -> list[str]:
    """Machine-generated praise in which only the nouns vary."""
    ware, town = rng.choice(WARES), rng.choice(TOWNS)
    praise = ["number one", "most loved", "award winning", "famous", "leading", "friendly", "passionate"]
    return [
        f"Welcome to {ware} {town}! We are the {rng.choice(praise)} {ware} company for your {ware} needs in {town}.",
        *[
            f"If you are searching {ware} then {town} {rng.choice(praise)} team is for {rng.choice(FILLER)} {ware}, "
            f"because {ware} it is important in today's fast paced world to have {rng.choice(praise)} {ware}."
            for _ in range(rng.randint(6, 10))
        ],
        f"Call now +00 555 01{rng.randint(10, 99)} for {ware} {town}. CALL NOW!!! CALL NOW!!!",
    ]


def noise(rng: random.Random) -> list[str]:
    """Letters at random, as from a broken decoder."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789ÃÂâ€œ™¤¶§"
    return [
        " ".join("".join(rng.choices(letters, k=rng.randint(2, 14))) for _ in range(rng.randint(6, 20)))
        for _ in range(rng.randint(12, 20))
    ]


SPAM: tuple[Callable[[random.Random], list[str]], ...] = (
    keyword_stuffing,
    casino,
    pills,
    repetition,
    doorway,
    noise,
)
"""The kinds of spam."""


def lorem(rng: random.Random) -> list[str]:
    """Placeholder text of a page template that was never filled in."""
    lines = ["Lorem ipsum dolor sit amet"]
    for number in range(1, rng.randint(4, 7)):
        lines.append(f"Service {number}")
        lines.append(_salad(rng, LATIN, rng.randint(25, 60)).capitalize() + ".")
        lines.append("Read more")
    return lines


def tag_page(rng: random.Random, tag: str, titles: list[str]) -> list[str]:
    """A list of headlines under one tag, with pagination."""
    lines = [f"Tag: {tag}", f"{len(titles)} posts found", "Sort by: newest | oldest | most commented"]
    for title in titles:
        lines += [title, f"{rng.randint(1, 28)} {rng.choice(MONTHS)} · {rng.randint(0, 90)} comments", "Read more »"]
    return [*lines, f"1 2 3 … {rng.randint(7, 40)} Next", "RSS feed for this tag"]


def link_list(rng: random.Random) -> list[str]:
    """A directory of links to hosts that do not exist."""
    lines = ["Link directory", "Submit your site for free!", "Exchange links with us"]
    for _ in range(rng.randint(25, 40)):
        host = f"{rng.choice(WARES).replace(' ', '-')}-{rng.choice(TOWNS).lower()}{rng.randint(2, 99)}.example"
        lines.append(f"{rng.choice(FILLER)} {rng.choice(WARES)} www.{host}")
    return lines


def _salad(rng: random.Random, words: list[str], count: int) -> str:
    return " ".join(rng.choices(words, k=count))
