"""``pretraining.json`` and the card: the record of a model's training."""

import json
from pathlib import Path
from typing import Any

RECORD = "pretraining.json"
CARD = "README.md"

_CARD = """# {name}

A causal language model, {parameters:,} parameters ({inner:,} without embeddings; {architecture}), trained by
`prox-spark pretrain` on {data}.

## Recipe
{tokens:,} tokens in {steps:,} steps of {batch:,}, sequences of {sequence:,}, AdamW with a peak rate of {rate} after
{warm_up} steps and a cosine to {final:g} of it, seed {seed}; {flops:.3g} FLOPs (6·N·D), {seconds:,} seconds on {machine},
{date}.
`pretraining.json` has every setting and measurement, `losses.jsonl` the loss of every step. On a CPU, the same configuration,
tokens and number of threads and processes give the same weights; on a GPU, the last digits vary.

## Measurements during training
{measured}

{card}
"""


def read_record(folder: Path) -> dict[str, Any] | None:
    """``pretraining.json`` of a model's folder, ``None`` if there is none."""
    file = folder / RECORD
    if not file.is_file():
        return None
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def card(record: dict[str, Any], text: str) -> str:
    """The card (Markdown) of a trained model, from its ``record``, with the user's ``text``."""
    settings, parameters, data = record["settings"], record["parameters"], record["data"]
    origin = f"`{data['refinement']}`, " if data["refinement"] else ""
    return (
        _CARD.format(
            name=record["name"],
            parameters=parameters["all"],
            inner=parameters["without_embeddings"],
            architecture=record["architecture"] + (f", from {settings['base']}" if settings["base"] else ""),
            data=f"{origin}{data['documents']:,} documents, {data['tokens']:,} tokens (`{data['manifest_sha256'][:12]}`)",
            tokens=record["tokens"],
            steps=record["steps"],
            batch=settings["batch_tokens"],
            sequence=settings["sequence"],
            rate=settings["learning_rate"],
            warm_up=min(settings["warm_up"], record["steps"] // 10),
            final=settings["final_rate"],
            seed=settings["seed"],
            flops=record["flops"],
            seconds=record["seconds"],
            machine=record["machine"],
            date=record["date"],
            measured=_measured(record["curve"]),
            card=text.strip(),
        ).rstrip()
        + "\n"
    )


def _measured(curve: list[dict[str, Any]]) -> str:
    rows = ["| tokens | training loss | nats per token | bits per byte |", "|---|---|---|---|"]
    for row in curve:
        figures = [f"{row[key]:.4f}" if key in row else "" for key in ("loss", "nats_per_token", "bits_per_byte")]
        rows.append(f"| {row['tokens']:,} | " + " | ".join(figures) + " |")
    return "\n".join(rows)
