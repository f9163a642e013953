"""Matplotlib's SVG adapted to the page: no style attributes (the page's policy forbids them), colours by class."""

import io
import re
from typing import Any
from xml.etree import ElementTree

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "{http://www.w3.org/1999/xlink}href"

ROLES = {
    "ink": "#010101",
    "muted": "#020202",
    "grid": "#030303",
    "one": "#040404",
    "two": "#050505",
    "track": "#060606",
}
"""Roles of colours, with a placeholder value while matplotlib draws; the page's style sheet sets the real colour."""

_CLASS = {colour: role for role, colour in ROLES.items()}
_DROPPED = {"font", "font-size", "font-family", "font-weight", "font-style", "stroke-linejoin", "stroke-linecap"}
_FONT_SIZE = re.compile(r"(?:^|[\s:])(\d+(?:\.\d+)?)px")


def inline(figure: Any, name: str, description: str) -> str:
    """A matplotlib figure as an ``<svg>`` element with ids that begin with ``name``.

    ``description`` is the text for screen readers.
    """
    written = io.BytesIO()
    figure.savefig(written, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(written.getvalue().decode("utf-8"))
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.rpartition("}")[2] in ("metadata", "style"):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        _plain(element, name)
    root.attrib = {"xmlns": _SVG, "viewBox": root.attrib["viewBox"], "role": "img", "aria-labelledby": f"{name}-title"}
    root.attrib |= {"stroke-linejoin": "round", "stroke-linecap": "butt"}
    title = ElementTree.Element("title", {"id": f"{name}-title"})
    title.text = description
    root.insert(0, title)
    return ElementTree.tostring(root, encoding="unicode")


def _plain(element: ElementTree.Element, name: str) -> None:
    """Convert the element's style to attributes and classes, and make its ids unique among pictures."""
    style = dict(_declarations(element.attrib.pop("style", "")))
    attributes = {**element.attrib, **style}
    classes = []
    for key, value in attributes.items():
        if key in ("fill", "stroke") and value.lower() in _CLASS:
            classes.append(f"{key}-{_CLASS[value.lower()]}")
    font = _FONT_SIZE.search(style.get("font", ""))
    kept = {
        key: value
        for key, value in attributes.items()
        if key not in _DROPPED and not (key in ("fill", "stroke") and value.lower() in _CLASS)
    }
    if element.tag == "text":
        kept.setdefault("font-size", font[1] if font else "11")
        classes = classes or ["fill-ink"]
    if classes:
        kept["class"] = " ".join(classes)
    for key in ("id", _XLINK, "clip-path"):
        if key in kept:
            value = kept.pop(key)
            if key == "id":
                kept["id"] = f"{name}-{value}"
            elif key == _XLINK:
                kept["href"] = value.replace("#", f"#{name}-")
            else:
                kept["clip-path"] = value.replace("#", f"#{name}-")
    element.attrib = kept


def _declarations(style: str) -> list[tuple[str, str]]:
    pairs = (part.partition(":") for part in style.split(";") if ":" in part)
    return [(key.strip(), value.strip()) for key, _, value in pairs]
