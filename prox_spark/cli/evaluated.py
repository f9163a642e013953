"""The tables that ``evaluate`` prints."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prox_spark.evaluation.evaluate import Evaluation

Table = tuple[Sequence[str], list[list[Any]], str]
"""Column names, rows, title."""


def tables(found: "Evaluation") -> Iterator[Table]:
    """One table for each kind of measurement."""
    if found.pages:
        yield _pages(found.pages)
    if found.documents:
        yield _documents(found.documents)
    if any(one["perplexity"] for one in found.models.values()):
        yield _perplexity(found.models)
    if any("suite" in one for one in found.models.values()):
        yield _suite(found.models)
    if found.compute.get("rows"):
        yield _compute(found.compute["rows"])


def _pages(pages: Mapping[str, Any]) -> Table:
    columns = (
        "file",
        "F1 kept words",
        "precision",
        "recall",
        "keep everything",
        "removed lines F1",
        "kept words",
        "failed",
        "rules",
    )
    rows = [
        [
            name,
            *(f"{one['keep']['words'][key]:.4f}" for key in ("f1", "precision", "recall")),
            f"{one['keep_everything']['words']:.4f}",
            f"{one['remove']['lines']['f1']:.4f}",
            f"{one['kept_words']:.1%}",
            f"{one['chunks']['failed_share']:.2%}",
            "compat" if one["semantics"] is None else f"version {one['semantics']}",
        ]
        for name, one in pages.items()
    ]
    return columns, rows, "Lines of pages"


def _documents(documents: Mapping[str, Any]) -> Table:
    columns = ("file", "documents", "F1 kept", "keep everything", "area under ROC", "calibration error", "failed")
    rows = [
        [
            name,
            one["documents"],
            f"{one['keep']['f1']:.4f}",
            f"{one['keep_everything']:.4f}",
            *(_figure((one["scores"] or {}).get(key)) for key in ("auc", "calibration_error")),
            one["failed"],
        ]
        for name, one in documents.items()
    ]
    return columns, rows, "Documents"


def _perplexity(models: Mapping[str, Any]) -> Table:
    columns = ("text", "model", "nats per token", "perplexity", "bits per byte", "tokens", "bytes")
    rows = [
        [
            Path(path).name,
            name,
            f"{one['nats_per_token']:.4f}",
            f"{one['perplexity']:.2f}",
            f"{one['bits_per_byte']:.4f}",
            one["tokens"],
            one["bytes"],
        ]
        for name, model in models.items()
        for path, one in model["perplexity"].items()
    ]
    return (
        columns,
        sorted(rows, key=lambda row: str(row[0])),
        "Perplexity (only bits per byte are comparable between tokenizers)",
    )


def _suite(models: Mapping[str, Any]) -> Table:
    results = [(name, one["suite"]) for name, one in models.items()]
    first = results[0][1]
    rows = [[task, *(_score(one["tasks"][task]) for _, one in results)] for task in first["tasks"]]
    rows += [[task, *([reason] * len(results))] for task, reason in first["absent"].items()]
    means = ["" if one["mean"] is None else f"{one['mean']:.1f}" for _, one in results]
    rows.append([f"mean of {len(first['tasks'])}", *means])
    return ("task", *(name for name, _ in results)), rows, f"Suite {first['suite']}, percent"


def _score(one: Mapping[str, Any]) -> str:
    return f"{one['score']:.1f}" + ("" if one["stderr"] is None else f" ± {one['stderr']:.1f}")


def _compute(rows: Sequence[Mapping[str, Any]]) -> Table:
    columns = (
        *("model", "parameters", "tokens", "training FLOPs", "refining FLOPs", "of these charged", "break-even tokens"),
        *("tokens to match baseline", "baseline tokens to match", "FLOPs saved"),
    )
    found = [
        [
            row["model"],
            row["parameters"],
            row["tokens"],
            f"{row['training_flops']:.3g}",
            *(_power(row[key]) for key in ("refining_flops", "charged_refining_flops", "break_even_tokens")),
            *(_reached(row, key) for key in ("needs_tokens", "first_needs_tokens")),
            "" if "saved_flops" not in row else _power(row["saved_flops"]),
        ]
        for row in rows
    ]
    return columns, found, "Compute: training 6·N·D, refining 2·N·D, N without embeddings"


def _power(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}"


def _reached(row: Mapping[str, Any], key: str) -> str:
    if key not in row:
        return ""
    return "not reached" if row[key] is None else f"{row[key]:,.0f} tokens"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
