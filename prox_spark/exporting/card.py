"""The card of a Hugging Face dataset folder: how it was made, in numbers. It contains no page text."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from prox_spark.reporting.facts import described_refiners, largest_sources, read_drops, read_sources
from prox_spark.reporting.figures import Drop, Source
from prox_spark.reporting.text import clean
from prox_spark.versions.names import Version

_SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
    (10**9, "100M<n<1B"),
    (10**10, "1B<n<10B"),
    (10**11, "10B<n<100B"),
    (10**12, "100B<n<1T"),
)
_LARGEST = "n>1T"

_COUNTS = (
    ("documents", "documents"),
    ("refined", "kept"),
    ("dropped_documents", "dropped"),
    ("quarantined", "in quarantine"),
    ("lines", "lines"),
    ("lines_removed", "lines removed from kept documents"),
    ("lines_rewritten", "lines rewritten in kept documents"),
    ("characters", "characters"),
    ("characters_kept", "characters kept"),
)

_CARD = """---
{front}---

# {title}

{what}, written by `prox-spark export` (prox_spark {package_version}): {documents:,} documents,
{characters:,} characters, in {files:,} files. `manifest.json` has the counts and SHA-256 of every file.

```python
from datasets import load_dataset

dataset = load_dataset("this-folder", split="train")
```

| column | contents |
|---|---|
| `doc_id` | the document's id in the corpus |
| `text` | {text} |
| `url`, `source` | its origin, or null if unknown |
| `metadata` | other fields of the corpus, as a JSON object of strings, or null |

Documents are in random order (seed {seed}).

## How it was made

{made}

| setting | value |
|---|---|
{settings}

## Counts

| | number |
|---|---|
{counts}

| source | documents | characters | characters kept |
|---|---|---|---|
{sources}

Documents in quarantine are not counted in any source.
{drops}"""

_DROPS = """
| stage | reason | dropped documents | characters |
|---|---|---|---|
{rows}
"""


@dataclass(frozen=True)
class CardFacts:
    """Facts of the card beyond the manifest: engines by stage, settings of execution, sources, reasons of dropped ones."""

    refiners: Mapping[str, str]
    execution: Mapping[str, Any]
    sources: Sequence[Source]
    drops: Sequence[Drop]


def read_card_facts(version: Version) -> CardFacts:
    """The facts of a refinement version: group-bys of its small columns."""
    configuration = json.loads(version.row["configuration"])
    return CardFacts(
        described_refiners(version.row, configuration),
        configuration["execution"],
        read_sources(version, largest_sources(version)),
        read_drops(version),
    )


def card(facts: CardFacts, manifest: Mapping[str, Any]) -> str:
    """The card (Markdown after a YAML header) of the dataset that the manifest describes."""
    name = f"{manifest['refinement']}:{manifest['version']}"
    raw, counts = manifest["raw"], manifest["counts"]
    front = {
        "pretty_name": f"{name}, original documents" if raw else name,
        "size_categories": [size_category(manifest["documents"])],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*.parquet"}]}],
    }
    engines = [f"{stage} stage: {_cell(engine)}" for stage, engine in facts.refiners.items()]
    by = "; ".join(engines) or "no stage wrote programs"
    return _CARD.format(
        front=yaml.safe_dump(front, sort_keys=False, allow_unicode=True),
        title=f"{name}, original documents" if raw else name,
        what=f"The original documents that refinement {name} covers" if raw else f"Refinement {name} of a web corpus",
        package_version=manifest["package_version"],
        documents=manifest["documents"],
        characters=manifest["characters"],
        files=len(manifest["files"]),
        text="the original document" if raw else "the kept text of the document",
        seed=manifest["seed"],
        made=f"A program was written and executed for every document (Programming Every Example, arXiv 2409.17115): {by}.\n"
        f"Fingerprint of the refinement: `{manifest['fingerprint']}`."
        + (" The documents in this dataset are unchanged." if raw else ""),
        settings=_rows([f"`execution.{key}`", _cell(str(value))] for key, value in sorted(facts.execution.items())),
        counts=_rows([label, f"{counts[key] or 0:,}"] for key, label in _COUNTS),
        sources=_rows(
            [_cell(one.name), f"{one.documents:,}", f"{one.characters:,}", f"{one.kept:,}"] for one in facts.sources
        ),
        drops=_drops(facts.drops),
    )


def size_category(documents: int) -> str:
    """The Hub's size category for this number of rows."""
    return next((word for limit, word in _SIZES if documents < limit), _LARGEST)


def _drops(drops: Sequence[Drop]) -> str:
    rows = _rows([_cell(one.stage), _cell(one.reason), f"{one.documents:,}", f"{one.characters:,}"] for one in drops)
    return _DROPS.format(rows=rows) if rows else ""


def _rows(rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _cell(text: str) -> str:
    """A name from a corpus or a configuration as inline code: it can neither add markup nor end the table cell."""
    plain = clean(" ".join(text.split())).replace("`", "'").replace("|", "¦")
    return f"`{plain}`" if plain else "(empty)"
