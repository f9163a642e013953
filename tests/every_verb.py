"""Every verb that needs no model, as command lines that follow each other in one store."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from claims import PAGE


@dataclass(frozen=True)
class Place:
    """A store, as its users name it, the folder that its tables lie in, and what else the verbs are given."""

    store: str
    tables: Path
    folder: Path
    endpoint: str

    def words(self, refinement: str, *more: str) -> list[str]:
        """The configuration of a refinement by rules."""
        keys = [
            f"store={self.store}",
            f"refinement={refinement}",
            f"input.path={self.folder}/*.json",
            "input.format=json",
        ]
        return [*keys, "document.engine.kind=rules", "chunk.engine.kind=rules", *more]

    @property
    def at(self) -> list[str]:
        """The option of verbs that need no configuration."""
        return ["--store", self.store]

    @property
    def labels(self) -> str:
        """What ``annotate`` needs."""
        return (
            f"annotate={{endpoint: {{model: large, base_url: '{self.endpoint}'}}, output: '{self.folder / 'labels'}'}}"
        )


def write_pages(folder: Path) -> None:
    """Pages for ``Place.words``, one of them without a text."""
    pages = [{"id": f"d{number}", "text": f"Home\nPage {number}\n{PAGE}\nFooter"} for number in range(6)]
    (folder / "pages.json").write_text("".join(json.dumps(page) + "\n" for page in [*pages, {"id": "none"}]))


VERBS: dict[str, Callable[[Place], list[str]]] = {
    "ingest": lambda place: place.words("first"),
    "generate": lambda place: place.words("first"),
    "execute": lambda place: place.words("first"),
    "execute --dry-run": lambda place: ["--dry-run", *place.words("first")],
    "refine": lambda place: place.words("second", "execution.min_words=3"),
    "history": lambda place: place.at,
    "compare": lambda place: ["--from", "first", "--to", "second", *place.at],
    "sql": lambda place: ["--question", "most-dropped-lines", *place.at],
    "report": lambda place: ["--output-file", str(place.folder / "report.html"), *place.at],
    "estimate": lambda place: place.words("first"),
    "annotate": lambda place: place.words("first", place.labels),
    "export": lambda place: ["first", "--to", str(place.folder / "export"), "--format", "jsonl", *place.at],
    "pin": lambda place: ["first", "--copy", *place.at],
    "rollback": lambda place: ["first:0", *place.at],
    "optimize": lambda place: place.at,
    "forget": lambda place: ["d1", "--history", *place.at],
    "doctor": lambda place: place.words("first"),
}
"""The command line of each verb, in the order in which they are run."""
