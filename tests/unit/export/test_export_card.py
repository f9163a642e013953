"""The card of a Hugging Face dataset: valid front matter, numbers of the manifest, and names that cannot break out."""

import pytest
import yaml

from prox_spark.exporting.card import CardFacts, card, size_category
from prox_spark.reporting.figures import Drop, Source

MANIFEST = {
    "format": "huggingface",
    "refinement": "first",
    "version": 3,
    "fingerprint": "abc123",
    "raw": False,
    "seed": 7,
    "package_version": "0.1.0",
    "documents": 1234,
    "characters": 56789,
    "counts": {
        "documents": 2000,
        "refined": 1234,
        "dropped_documents": 765,
        "quarantined": 1,
        "lines": 9000,
        "lines_removed": 800,
        "lines_rewritten": 7,
        "characters": 90000,
        "characters_kept": 56789,
    },
    "files": [{"name": "data/train-00000-of-00001.parquet"}],
}
HOSTILE = "c4 | x |\n# Heading <script>alert(1)</script> `code` [link](javascript:x)\x1b"
FACTS = CardFacts(
    {"chunk": "vllm some/model (12345678)"},
    {"mode": "strict", "drop_line_below": 0.2},
    [Source(HOSTILE, 1500, 70000, 50000), Source("", 500, 20000, 6789)],
    [Drop("document", "keep_score", 765, 20000)],
)


def test_the_card_says_how_it_was_made_in_numbers() -> None:
    text = card(FACTS, MANIFEST)
    _, front, body = text.split("---\n", 2)
    assert yaml.safe_load(front) == {
        "pretty_name": "first:3",
        "size_categories": ["1K<n<10K"],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*.parquet"}]}],
    }
    assert "license" not in text
    for part in (
        "1,234 documents",
        "seed 7",
        "`abc123`",
        "vllm some/model (12345678)",
        "`execution.drop_line_below` | `0.2`",
    ):
        assert part in body
    for row in (
        "| dropped | 765 |",
        "| lines removed from kept documents | 800 |",
        "| `document` | `keep_score` | 765 | 20,000 |",
    ):
        assert row in body.splitlines()
    assert "original documents" not in body
    assert "first:3, original documents" in card(FACTS, {**MANIFEST, "raw": True})


def test_names_of_the_corpus_stand_in_the_card_as_code_in_one_cell() -> None:
    (row,) = (line for line in card(FACTS, MANIFEST).splitlines() if "Heading" in line)
    cells = row.removeprefix("| ").removesuffix(" |").split(" | ")
    assert cells == [
        "`c4 ¦ x ¦ # Heading <script>alert(1)</script> 'code' [link](javascript:x)␛`",
        "1,500",
        "70,000",
        "50,000",
    ]
    assert "| (empty) | 500 | 20,000 | 6,789 |" in card(FACTS, MANIFEST).splitlines()


@pytest.mark.parametrize(
    ("documents", "word"), [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (10**6, "1M<n<10M"), (10**12, "n>1T")]
)
def test_size_categories_are_the_hubs(documents: int, word: str) -> None:
    assert size_category(documents) == word
