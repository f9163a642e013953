"""Hooks of mkdocs: pages of the site from outside ``docs/``, and the links between all pages."""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CODE_OF_CONDUCT.md": "conduct.md",
}
"""The site's paths of pages in the repository's root."""
_LINK = re.compile(r"\[([^\]]*)\]\((?!https?:|mailto:)([^)#\s]*)(#[^)\s]+)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of ``PAGES``."""
    for name, target in PAGES.items():
        files.append(File.generated(config, target, content=(ROOT / name).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite links to the site's pages. A link to a file that is not on the site becomes plain text."""
    here = page.file.src_uri
    folder = posixpath.dirname(next((name for name, target in PAGES.items() if target == here), f"docs/{here}"))

    def link(found: re.Match[str]) -> str:
        text, path, anchor = found[1], found[2], found[3] or ""
        if not path:
            return found[0]
        full = posixpath.normpath(posixpath.join(folder, path))
        target = PAGES.get(full, full.removeprefix("docs/"))
        return f"[{text}]({target}{anchor})" if files.get_file_from_path(target) else text

    return _LINK.sub(link, markdown)
