"""HTML to text: the extractors that ``input.extract`` names, each by its library.

``EXTRACTORS`` is the only list of them: ``input.extract``, the readers and ``docs/configuration.md`` use it. Each keeps
headings, paragraphs, list items, rows of tables and lines of preformatted text as lines.
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

from prox_spark.errors import InstallationError

DEFAULT = "text"
"""The neutral extractor: it leaves nothing out, and stores do not record its name."""


class Extractor(NamedTuple):
    """An extractor of text from HTML. ``apart``: it always runs in a separate process, even for small pages."""

    about: str
    extract: Callable[[str], str]
    library: str
    extra: str | None = None
    apart: bool = False


def _whole_page(html: str) -> str:
    return _resiliparse(html, main_content=False)


def _main_content(html: str) -> str:
    return _resiliparse(html, main_content=True)


def _resiliparse(html: str, *, main_content: bool) -> str:
    from resiliparse.extract.html2text import extract_plain_text

    text: str = extract_plain_text(
        html, preserve_formatting=True, main_content=main_content, list_bullets=True, alt_texts=False, links=False
    )
    return text


def _trafilatura(html: str) -> str:
    import trafilatura

    return trafilatura.extract(html, output_format="txt", include_comments=False, include_tables=True) or ""


EXTRACTORS: dict[str, Extractor] = {
    # Navigation and footers stay in the text: refinement decides about them.
    "text": Extractor("The visible text of the whole page, as a WET file has it", _whole_page, "resiliparse"),
    "main": Extractor("The main content, as DCLM has it", _main_content, "resiliparse"),
    "trafilatura": Extractor(
        "The main content, as FineWeb has it",
        _trafilatura,
        "trafilatura",
        "trafilatura",
        apart=True,
    ),
}
"""Every extractor by its name."""


def check_extractor(name: str) -> None:
    """Raise ``InstallationError`` if an extractor's library is not installed."""
    found = EXTRACTORS[name]
    if find_spec(found.library) is None:
        needed = f"prox-spark[{found.extra}]" if found.extra else found.library
        message = f"input.extract={name} needs {found.library}, which is not installed: pip install '{needed}'"
        raise InstallationError(message)
