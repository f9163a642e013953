"""HTML of a demo page, as a content management system would have written it."""

import re
from collections.abc import Callable
from html import escape
from itertools import groupby

from prox_spark.demo.corpus.pages import Page
from prox_spark.demo.corpus.sources import Block

REGIONS = {"menu": "header", "top": "header", "bottom": "aside", "footer": "footer"}
STYLE = "body{font-family:serif;margin:0 auto;max-width:60rem}.ad{background:#eee}nav li{display:inline}"
SCRIPT = "window.layer=window.layer||[];function track(){layer.push(arguments)}track('page',document.title);"


def html(page: Page) -> str:
    """The whole document: head with style and script, header, article, aside and footer."""
    parts = []
    for region, blocks in groupby(page.blocks, key=lambda block: REGIONS.get(block.kind, "article")):
        inner = "\n".join(_TAGS.get(block.kind, _paragraphs)(block) for block in blocks)
        parts.append(f"<{region}>\n{inner}\n</{region}>")
    return "\n".join(
        [
            "<!DOCTYPE html>",
            f'<html lang="{page.language}"><head><meta charset="utf-8"><title>{escape(page.title)}</title>',
            f'<link rel="canonical" href="{escape(page.url)}">',
            f"<style>{STYLE}</style><script>{SCRIPT}</script></head>",
            '<body class="single">',
            *parts,
            "<noscript>Please enable JavaScript to see comments.</noscript>",
            "<script>track('end')</script>",
            "</body></html>",
            "",
        ]
    )


def _paragraphs(block: Block) -> str:
    return "\n".join(f"<p>{_inline(line)}</p>" for line in block.lines)


def _menu(block: Block) -> str:
    items = "".join(f'<li><a href="/{number}">{escape(line)}</a></li>' for number, line in enumerate(block.lines))
    return f'<nav class="main-menu"><ul>{items}</ul></nav>'


def _list(block: Block) -> str:
    tag = "ul" if block.lines[0].startswith("- ") else "ol"
    items = "".join("<li>" + _inline(re.sub(r"^(?:-|\d+\.) ", "", line)) + "</li>\n" for line in block.lines)
    return f"<{tag}>\n{items}</{tag}>"


def _table(block: Block) -> str:
    rows = []
    for line in block.lines:
        cells = "".join(f"<td>{escape(cell.strip())}</td>" for cell in line.strip("| ").split(" | "))
        rows.append(f"<tr>{cells}</tr>")
    return "<table>\n" + "\n".join(rows) + "\n</table>"


def _code(block: Block) -> str:
    return "<pre><code>" + escape("\n".join(block.lines)) + "</code></pre>"


def _links(block: Block) -> str:
    items = "".join(f'<li><a href="/more/{n}">{escape(line)}</a></li>\n' for n, line in enumerate(block.lines))
    return f'<ul class="links">\n{items}</ul>'


def _wrapped(tag: str, name: str = "") -> Callable[[Block], str]:
    opening = f'<{tag} class="{name}">' if name else f"<{tag}>"
    return lambda block: "\n".join(f"{opening}{escape(line)}</{tag}>" for line in block.lines)


def _inline(line: str) -> str:
    line = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(line))
    return re.sub(r"\*(\w+)\*", r"<em>\1</em>", line)


_TAGS: dict[str, Callable[[Block], str]] = {
    "menu": _menu,
    "title": _wrapped("h1"),
    "heading": _wrapped("h2"),
    "byline": _wrapped("p", "byline"),
    "author": _wrapped("div", "author"),
    "signature": _wrapped("div", "signature"),
    "list": _list,
    "table": _table,
    "code": _code,
    "top": _wrapped("div", "notice"),
    "middle": _wrapped("div", "ad"),
    "bottom": _links,
    "footer": _wrapped("div", "small"),
}
