"""Small stores in every stage of their life, and the command lines of the verbs that write to them.

Two units of documents; one page is dropped by the document refiner, one fails at first and is asked again, one record is damaged.
"""

import hashlib
import json
import shutil
import tarfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from annotator import vague
from claims import PROSE
from deltas import Rows, contents, rows_of
from drivers import Drivers

from prox_spark.schemas import OLDEST_STORE

PAGE = "\n".join(["Home | About", *[f"{PROSE} Number {i}." for i in range(6)], "Privacy policy"])
TEXTS = {"d0": f"Page 0\n{PAGE}", "d1": f"Page 1\n{PAGE}", "spam": f"Spam\n{PAGE}", "poison": f"Poison\n{PAGE}"}
LATER = {"d4": f"Page 4\n{PAGE}", "spam2": f"Spam\n{PAGE}"}
UNIT_BYTES = 1200
"""Of text: two documents make a unit."""

FAULTS = ("document.engine.error_on=Poison",)
OLD = "old"
"""The stage of a store that the oldest package wrote which can still be read: the first write brings it to today's layout."""

_OLD_STORE = Path(__file__).parent / "stores" / f"{OLDEST_STORE}.tar.gz"

MORE = "more"
"""The folder with the files that come later."""


@dataclass(frozen=True)
class Place:
    """A folder with a store and what is exported from it, and the corpus that belongs to it."""

    folder: Path
    corpus: Path
    endpoint: str = ""

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def config(self, *more: str, refinement: str = "first", files: str = "first/*.json") -> list[str]:
        """The configuration of a refinement by scripted refiners."""
        return [
            *(f"store={self.store}", f"refinement={refinement}", "fuse.min_documents=1000"),
            *(f"input.path={self.corpus}/{files}", "input.format=json", f"ingest.unit_bytes={UNIT_BYTES}"),
            *("generate.batch_units=1", "generate.partitions=1", "execute.batch_bytes=1", "execution.min_words=3"),
            *("document.engine.kind=scripted", "document.engine.answers={Spam: 0.1}"),
            *("chunk.engine.kind=scripted", "chunk.engine.default='remove_lines(line_start=1, line_end=1)'"),
            *more,
        ]

    @property
    def at(self) -> list[str]:
        """The option of verbs that need no configuration."""
        return ["--store", str(self.store)]

    def labels(self, endpoint: str) -> str:
        """What ``annotate`` needs."""
        return (
            f"annotate={{endpoint: {{model: large, base_url: '{endpoint}', retries: 0}}, output: '{self.out / 'labels'}', "
            "batch_documents: 2}"
        )

    def copy(self, folder: Path) -> "Place":
        """The same in another folder."""
        folder.mkdir(parents=True)
        if self.folder.is_dir():
            shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return replace(self, folder=folder)

    def contents(self) -> dict[str, Rows]:
        """Everything that the folder holds, to be compared with ``deltas.differences``."""
        tables = [path.parent for path in self.out.glob("*/_delta_log")]
        found = contents(self.store) | {f"out/{table.name}": rows_of(table) for table in tables}
        inside = (self.store, *tables)
        outside = [path for path in self.folder.rglob("*") if path.is_file() and not {*inside} & {*path.parents}]
        found["files outside"] = Counter(self._described(path) for path in outside)
        # Rows name their own store, as those of `compare` do.
        return {
            table: Counter({row.replace(str(self.folder), ""): n for row, n in rows.items()})
            for table, rows in found.items()
        }

    def _described(self, path: Path) -> str:
        """Name and content of an exported file; of those with a date or the folder's name in them the name alone."""
        name = str(path.relative_to(self.folder))
        dated = path.name in ("manifest.json", "README.md", "report.html") or path.suffix in (".crc", ".json")
        return name if dated else f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}"


Words = Callable[[Place], list[str]]

INGEST: Words = lambda place: ["ingest", *place.config()]  # noqa: E731 -- a list of them
GENERATE: Words = lambda place: ["generate", *place.config()]  # noqa: E731
EXECUTE: Words = lambda place: ["execute", *place.config()]  # noqa: E731
RETRY: Words = lambda place: ["generate", "--retry-failed", *place.config()]  # noqa: E731
REFINE_MORE: Words = lambda place: ["refine", *place.config(files="*/*.json")]  # noqa: E731
ANNOTATE: Words = lambda place: ["annotate", *place.config(place.labels(place.endpoint))]  # noqa: E731

STAGES: dict[str, tuple[str, Words]] = {
    "ingested": ("", INGEST),
    "generated": ("ingested", lambda place: ["generate", *place.config(*FAULTS)]),
    "executed": ("generated", EXECUTE),
    "retried": ("executed", RETRY),
    "second": ("retried", EXECUTE),
    "annotated": ("second", ANNOTATE),
    "annotated in vain": ("ingested", lambda place: ["annotate", *place.config(place.labels(vague(place.endpoint)))]),
    "pinned": ("annotated", lambda place: ["pin", "first:0", "--copy", *place.at]),
    "grown": ("pinned", REFINE_MORE),
    "forgotten": ("grown", lambda place: ["forget", "d0", *place.at]),
    "marked": ("forgotten", lambda place: ["pin", "first", *place.at]),
    "aged": ("marked", lambda place: ["forget", "d4", *place.at]),
}
"""Each stage of a store's life: the stage before and the verb that leads to it."""


@dataclass(frozen=True)
class Verb:
    """A verb, and the stage of the store that it begins with."""

    stage: str
    words: Words


VERBS = {
    "ingest": Verb("", INGEST),
    "annotate": Verb("ingested", ANNOTATE),
    "annotate --retry-failed": Verb(
        "annotated in vain", lambda place: ["annotate", "--retry-failed", *ANNOTATE(place)[1:]]
    ),
    "generate": Verb("ingested", GENERATE),
    "execute": Verb("generated", EXECUTE),
    "generate --retry-failed": Verb("executed", RETRY),
    "execute after a retry": Verb("retried", EXECUTE),
    "refine": Verb("second", REFINE_MORE),
    "rollback": Verb("second", lambda place: ["rollback", "first:0", *place.at]),
    "pin": Verb("executed", lambda place: ["pin", "first", *place.at]),
    "pin --copy": Verb("second", lambda place: ["pin", "first", "--copy", *place.at]),
    "forget": Verb("pinned", lambda place: ["forget", "d0", *place.at]),
    "forget --history": Verb("pinned", lambda place: ["forget", "d0", "spam", "poison", "--history", *place.at]),
    "optimize": Verb("aged", lambda place: ["optimize", *place.at]),
    "export": Verb(
        "second", lambda place: ["export", "first", "--to", f"{place.out}/export", "--format", "jsonl", *place.at]
    ),
    "compare": Verb(
        "second",
        lambda place: [
            "compare",
            "--from",
            "first:0",
            "--to",
            "first:1",
            "--table",
            f"{place.out}/compared",
            *place.at,
        ],
    ),
    "pin in an old store": Verb(OLD, lambda place: ["pin", "first", "--copy", *place.at]),
    "report": Verb("second", lambda place: ["report", "--output-file", f"{place.folder}/report.html", *place.at]),
}
"""Every verb that writes, as it is run once."""


@dataclass
class Stages:
    """Makes the stages that are asked for, each once."""

    drivers: Drivers
    folder: Path
    endpoint: str

    @property
    def corpus(self) -> Path:
        return self.folder / "corpus"

    def write_corpus(self) -> None:
        """The files of the corpus, those that come later in a folder of their own."""
        for name, texts in (("first", TEXTS), (MORE, LATER)):
            (self.corpus / name).mkdir(parents=True)
            lines = [json.dumps({"id": key, "text": text}) for key, text in texts.items()]
            (self.corpus / name / "pages.json").write_text("\n".join([*lines, "{no json"]) + "\n")

    def at(self, stage: str) -> Place:
        """The place with a store at this stage; to be copied, not to be worked on."""
        place = Place(self.folder / (stage or "nothing"), self.corpus, self.endpoint)
        if stage == OLD and not place.folder.is_dir():
            with tarfile.open(_OLD_STORE) as packed:
                packed.extractall(place.store, filter="data")
        elif stage and not place.folder.is_dir():
            before, words = STAGES[stage]
            made = self.at(before).copy(self.folder / "making" / stage)
            log = self.folder / f"{stage}.log"
            code = self.drivers.run(words(made), log)
            assert code == 0, f"{stage}: {log.read_text()}"
            made.folder.rename(place.folder)
        return place
