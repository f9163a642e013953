"""A refiner's card."""

from typing import Any

from prox_spark.config.adapt import AdaptConfig

_KINDS = {
    "lines": (
        "A line scorer for `prox_spark`: one pass over a page estimates, for each line, the probability that it should be kept",
        "`chunk.engine.model`",
        "F1 of kept lines, weighted by words, on pages of sites outside the training set, at "
        "`execution.drop_line_below={threshold}`.\nThese pages also selected the checkpoint, the threshold and the calibration.",
        "lines",
    ),
    "programs": (
        "A program writer for `prox_spark`: it reads a page and writes `remove_lines` calls",
        "`chunk.engine.model`",
        "F1 of kept lines, weighted by words, on pages of sites outside the training set. These pages also "
        "selected the checkpoint.",
        "lines",
    ),
    "documents": (
        "A document scorer for `prox_spark`: it estimates the probability that a document should be kept",
        "`document.engine.model`, with `document.engine.kind=statistics` if it has a `statistics.json`",
        "F1 of kept documents at `execution.drop_document_below={threshold}`, and the area under the ROC curve.",
        "documents",
    ),
}

_CARD = """# {name}

{what}. {parameters:,} parameters ({model}), trained by
`prox-spark adapt`; use it as {key}.

## Scores
{scores}

| file | {examples} | F1 | keeping everything |{scored}
|---|---|---|---|{rules}
{rows}

## Recipe
{recipe}; {seconds:,} seconds on {machine}, {date}. `training.json` has
every setting. On a CPU, the same configuration, pages and number of threads give the same weights; on a GPU, the last digits
vary.

{card}
"""


_STEPS = (
    "{pages:,} {what}, {tokens:,} tokens seen, {epochs:g} epochs, batches of {batch_tokens:,} tokens, AdamW with a peak rate "
    "of {rate}, seed {seed}"
)
_FOLDS = "{pages:,} documents, ridge regression over buckets, calibrated by cross-validation, seed {seed}"


def card(settings: AdaptConfig, training: dict[str, Any]) -> str:
    """The card (Markdown) of a trained refiner, from its ``training.json``."""
    what, key, scores, examples = _KINDS[settings.task]
    # A program has no confidence for a single line.
    scored = settings.task != "programs"
    rows = "\n".join(
        f"| {name} | {score['examples']:,} | {score['f1']:.4f} | {score['f1_keep_everything']:.4f} |"
        + (f" {score['auc']:.4f} | {score['calibration_error']:.3f} |" if scored else "")
        for name, score in training["scores"].items()
    )
    return (
        _CARD.format(
            name=settings.name,
            what=what,
            key=key,
            scores=scores.format(threshold=training["best"]["threshold"]),
            examples=examples,
            model=training["architecture"]
            if settings.base is None
            else f"{training['architecture']}, from {settings.base}",
            parameters=training["parameters"],
            rows=rows,
            scored=" area under ROC | calibration error |" if scored else "",
            rules="---|---|" if scored else "",
            recipe=(_STEPS if "tokens" in training["best"] else _FOLDS).format(
                pages=training["examples"],
                what="documents" if settings.task == "documents" else "pages",
                tokens=training["best"].get("tokens", 0),
                epochs=settings.epochs,
                batch_tokens=settings.batch_tokens,
                rate=settings.learning_rate,
                seed=settings.seed,
            ),
            seconds=training["seconds"],
            machine=training["machine"],
            date=training["date"],
            card=settings.card.strip(),
        ).rstrip()
        + "\n"
    )
