"""A corpus of any size for benchmarks: the demo's pages, joined and numbered so that no two documents are equal."""

from collections.abc import Iterator
from itertools import cycle, islice

from prox_spark.demo.corpus import pages


def documents(count: int, characters: int = 3000) -> Iterator[str]:
    """``count`` different texts of about this many characters each."""
    texts = cycle([page.text for page in pages() if page.text and page.text.strip()])
    for number in range(count):
        parts = [f"Document {number} of the benchmark corpus begins with this sentence."]
        size = 0
        while size < characters:
            (text,) = islice(texts, 1)
            parts.append(text)
            size += len(text)
        yield "\n".join(parts)
