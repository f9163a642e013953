"""The card of a fitted selection."""

from typing import Any

from prox_spark.config.adapt import AdaptConfig
from prox_spark.selection.dsir import PSEUDO_COUNT, QUANTILES
from prox_spark.selection.ngrams import BUCKETS

_CARD = """# {name}

A selection for `prox_spark` by importance resampling (DSIR, Xie et al. 2023, arXiv 2302.03169): it scores each document
by its rank in resemblance to a target corpus, with DSIR's noise. Use it as `document.engine.model` with
`document.engine.kind=dsir`; `execution.drop_document_below=0.9` keeps the tenth that resembles the target most.

## Data
| corpus | location | documents | n-grams |
|---|---|---|---|
| target | {target} | {target_documents:,} | {target_ngrams:,} |
| raw | `{store}`, version {version} of its documents | {raw_documents:,} of {documents:,} | {raw_ngrams:,} |

## Recipe
Words and pairs of words, lower-cased, in {buckets:,} buckets; {pseudo} added to each bucket's count in both corpora; log ratio of
their probabilities. A document's weight is the sum over its n-grams, with Gumbel noise of its id and seed {seed}; its
`keep_score` is that weight's rank, from a table of {quantiles:,} quantiles over the raw corpus. Documents with fewer than
{min_words:,} words get 0: {short:.1%} of the raw corpus. Fitted in {seconds:,} seconds, {date}. `training.json` has every
setting. The same settings and documents give the same `model.safetensors`.

## Limits
The score depends on which words occur, not on whether the text makes sense: a text with the vocabulary of the target ranks
high. A long document gets a larger weight, in either direction, than a short one. Shares hold for documents like those of the
raw corpus.

{card}
"""


def card(settings: AdaptConfig, training: dict[str, Any]) -> str:
    """The card (Markdown) of a fitted selection, from its ``training.json``."""
    target = training["settings"]["target"]
    paths = [target["path"]] if isinstance(target["path"], str) else target["path"]
    refinement = f", refinement {target['refinement']}" if target["refinement"] else ""
    return (
        _CARD.format(
            name=settings.name,
            target=f"{', '.join(f'`{path}`' for path in paths)} ({target['format']}{refinement})",
            target_documents=training["target"]["documents"],
            target_ngrams=training["target"]["ngrams"],
            store=training["settings"]["store"],
            version=training["documents_version"],
            raw_documents=training["raw"]["documents"],
            documents=training["documents"],
            raw_ngrams=training["raw"]["ngrams"],
            buckets=BUCKETS,
            pseudo="one is" if PSEUDO_COUNT == 1 else f"{PSEUDO_COUNT} are",
            seed=settings.seed,
            quantiles=QUANTILES,
            min_words=settings.min_words,
            short=training["short"],
            seconds=round(training["seconds"]),
            date=training["date"],
            card=settings.card.strip(),
        ).rstrip()
        + "\n"
    )
