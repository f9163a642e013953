"""A refiner's card."""

from typing import Any

from prox_spark.adapt.settings import AdaptConfig

_CARD = """# {name}

A line scorer for `prox_spark`: one pass over a page gives each line's probability to be kept. {parameters:,} parameters
(ModernBERT token classifier), trained from scratch by `prox-spark adapt`; use it as `chunk.engine.model`.

## Scores
F1 of kept lines, weighted by words, on pages of sites that were not trained on, at `execution.drop_line_below={threshold}`;
these pages chose the checkpoint, the threshold and the calibration.

| pages | lines | F1 | keeping everything | calibration error |
|---|---|---|---|---|
{rows}

## Recipe
{pages:,} pages, {tokens:,} tokens seen, {epochs} epochs, batches of {batch_tokens:,} tokens, AdamW with a peak rate of
{learning_rate}, seed {seed}; {minutes:.0f} minutes on {machine}, {date}. `training.json` holds every setting: the same
configuration, pages and number of threads give the same weights.

{card}
"""


def card(settings: AdaptConfig, training: dict[str, Any]) -> str:
    """The card (Markdown) of a refiner that was trained as ``training.json`` says."""
    rows = "\n".join(
        f"| {name} | {score['lines']:,} | {score['f1']:.4f} | {score['f1_keep_everything']:.4f} "
        f"| {score['calibration_error']:.3f} |"
        for name, score in training["scores"].items()
    )
    return (
        _CARD.format(
            name=settings.name,
            parameters=training["parameters"],
            threshold=training["best"]["threshold"],
            rows=rows,
            pages=training["pages"],
            tokens=training["best"]["tokens"],
            epochs=settings.epochs,
            batch_tokens=settings.batch_tokens,
            learning_rate=settings.learning_rate,
            seed=settings.seed,
            minutes=training["seconds"] / 60,
            machine=training["machine"],
            date=training["date"],
            card=settings.card.strip(),
        ).rstrip()
        + "\n"
    )
