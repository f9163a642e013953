"""``pretrain``: from token shards to a model's folder, which is written atomically."""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prox_spark import __version__
from prox_spark.atomic import whole_folder
from prox_spark.config.pretrain import PretrainConfig
from prox_spark.costs.compute import Parameters, count_parameters, training_flops
from prox_spark.engines.models import resolve_model
from prox_spark.errors import TrainingError
from prox_spark.pretraining.data import Order, Shards, check_budget, open_shards, vocabulary_of
from prox_spark.pretraining.perplexity import encode, measure
from prox_spark.pretraining.prose import digest, read_prose
from prox_spark.pretraining.record import CARD, RECORD, card
from prox_spark.pretraining.training import Run, smaller, train
from prox_spark.progress import duration
from prox_spark.training.inputs import marks
from prox_spark.training.models import existing_causal, new_llama
from prox_spark.training.steps import CHECKPOINT, device_of, machine, within_memory

_log = logging.getLogger(__name__)

Report = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class Pretrained:
    """A trained model: its folder, tokens, steps, FLOPs, evaluations, seconds."""

    output: str
    tokens: int
    steps: int
    parameters: int
    flops: float
    curve: list[dict[str, float]]
    seconds: float
    tokens_per_second: float


def pretrain(settings: PretrainConfig, report: Report = lambda _: None) -> Pretrained:
    """Train a causal model; ``report`` is called for each evaluation (with several processes: standard error).

    The folder holds safetensors (single precision), tokenizer, ``config.json``, ``pretraining.json``, ``losses.jsonl`` and a card
    (``README.md``). Until it is complete, the work is in a folder beside it, named after a hash of the settings and the data;
    after an interruption, the same command resumes there. Raises ``TrainingError`` if the output exists, the shards do not
    serve or do not suffice, or the base has another vocabulary; ``RefinerError`` if the base's folder cannot be used.
    """
    output = Path(settings.output).expanduser()
    if output.exists():
        raise TrainingError(f"{output} exists; set another pretrain.output, or move the folder away")
    shards = open_shards(settings.data)
    check_budget(Order(shards, settings.sequence, settings.seed), settings.trained_tokens, settings.passes)
    _log.info(
        "pretrain: %d tokens in %d steps, %d processes, data %s; makes %s",
        *(settings.trained_tokens, settings.steps, settings.processes, settings.data, output),
    )
    with whole_folder(output, _digest(settings, shards)[:12]) as work:
        if not (work / CARD).is_file():
            if settings.processes > 1:
                from prox_spark.training.distributed import train_together

                train_together(run, _absolute(settings), work)
            else:
                run(settings, work, report)
        (work / CHECKPOINT).unlink(missing_ok=True)
    done = _told(output)
    _log.info(
        "pretrain finished: %d tokens in %s",
        done.tokens,
        duration(done.seconds),
        extra={"rate": done.tokens_per_second},
    )
    return done


def run(settings: PretrainConfig, work: Path, report: Report, share: tuple[int, int] = (0, 1)) -> None:
    """Train in ``work`` and leave the complete folder there. ``share`` is as in ``prox_spark.pretraining.training.train``."""
    import torch
    from transformers import AutoTokenizer

    shards = open_shards(settings.data)
    torch.manual_seed(settings.seed)
    model = _model(settings, shards)
    tokenizer = AutoTokenizer.from_pretrained(str(shards.tokenizer), trust_remote_code=False)
    prose = [
        one for path in settings.validation for one in read_prose(path, settings.text_key, settings.validation_bytes)
    ]
    encoded = encode(tokenizer, prose, shards.end) if prose else []

    def evaluate() -> dict[str, float]:
        if not prose:
            return {}
        found = measure(model, encoded, prose, settings.sequence, share)
        return {name: found[name] for name in ("nats_per_token", "perplexity", "bits_per_byte")}

    order = Order(shards, settings.sequence, settings.seed)
    with within_memory("training", smaller(settings)):
        done = train(model.to(device_of(share[0])), order, settings, work, evaluate, report, share)
    if share[0] == 0:
        _write(work, settings, shards, model, done, digest(prose) if prose else None)


def _model(settings: PretrainConfig, shards: Shards) -> Any:
    if settings.base is None:
        assert settings.shape is not None, "one of the two is given"
        return new_llama(
            **settings.shape.model_dump(exclude={"tied"}),
            vocabulary=shards.vocabulary,
            context=settings.sequence,
            end=shards.end,
            tie_word_embeddings=settings.shape.tied,
            # As the paper's repository has it (train/lit_gpt/config.py); Llama's own default is 1e-6.
            rms_norm_eps=1e-5,
        )
    folder = resolve_model(settings.base, settings.revision)
    own = vocabulary_of(folder)
    if own != vocabulary_of(shards.tokenizer):
        raise TrainingError(
            f"pretrain.base {settings.base} has a tokenizer of {len(own)} entries, but pretrain.data was made with one of "
            f"{shards.vocabulary}: export the tokens with the base's tokenizer"
        )
    model = existing_causal(folder, "pretrain.base")
    rows, context = model.config.vocab_size, getattr(model.config, "max_position_embeddings", settings.sequence)
    if rows < shards.vocabulary:
        raise TrainingError(
            f"pretrain.base {settings.base} embeds {rows} tokens, but its tokenizer and the shards have {shards.vocabulary}"
        )
    if settings.sequence > context:
        raise TrainingError(
            f"pretrain.sequence {settings.sequence} is longer than the context of pretrain.base, {context} tokens"
        )
    return model


def _digest(settings: PretrainConfig, shards: Shards) -> str:
    """Hash of the settings and the data: a saved state is only valid for these."""
    base = [] if settings.base is None else [resolve_model(settings.base, settings.revision)]
    read = marks([*settings.validation, *base])
    whole = [settings.model_dump(mode="json", exclude={"card"}), shards.digest, read, __version__]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def _absolute(settings: PretrainConfig) -> PretrainConfig:
    """Executors have another working directory."""
    changed: dict[str, Any] = {
        "data": str(Path(settings.data).expanduser().absolute()),
        "validation": [str(Path(path).expanduser().absolute()) for path in settings.validation],
    }
    if settings.base is not None:
        changed["base"] = str(resolve_model(settings.base, settings.revision))
    return settings.model_copy(update=changed)


def _write(work: Path, settings: PretrainConfig, shards: Shards, model: Any, done: Run, validation: str | None) -> None:
    """Write the card last: with it the folder is complete."""
    model.save_pretrained(work, safe_serialization=True)
    for file in sorted(shards.tokenizer.iterdir()):
        if file.is_file():
            shutil.copy2(file, work / file.name)
    parameters = count_parameters((name, tuple(value.shape)) for name, value in model.named_parameters())
    record = _record(settings, shards, type(model).__name__, parameters, done, validation)
    (work / RECORD).write_text(json.dumps(record, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    (work / CARD).write_text(card(record, settings.card), encoding="utf-8")


def _record(
    settings: PretrainConfig,
    shards: Shards,
    architecture: str,
    parameters: Parameters,
    done: Run,
    validation: str | None,
) -> dict[str, Any]:
    tokens = settings.trained_tokens
    return {
        "name": settings.name,
        "settings": {
            **settings.model_dump(mode="json", exclude={"card", "output", "data"}),
            "validation": [Path(path).name for path in settings.validation],
        },
        "data": {
            "manifest_sha256": shards.digest,
            "documents": shards.manifest.get("documents", 0),
            "tokens": shards.tokens,
            "refinement": shards.refinement,
            "fingerprint": shards.manifest.get("fingerprint"),
            "vocabulary": shards.vocabulary,
            "end_token_id": shards.end,
        },
        "validation_sha256": validation,
        "architecture": architecture,
        "parameters": {"all": parameters.all, "without_embeddings": parameters.without_embeddings},
        "tokens": tokens,
        "steps": settings.steps,
        "flops": training_flops(parameters.without_embeddings, tokens),
        "curve": done.curve,
        "seconds": round(done.seconds),
        "tokens_per_second": round(tokens / max(done.seconds, 1e-9)),
        "machine": machine(settings.processes),
        "date": datetime.now(UTC).date().isoformat(),
        "package_version": __version__,
    }


def _told(output: Path) -> Pretrained:
    record = json.loads((output / RECORD).read_text(encoding="utf-8"))
    return Pretrained(
        output=str(output),
        tokens=record["tokens"],
        steps=record["steps"],
        parameters=record["parameters"]["all"],
        flops=record["flops"],
        curve=record["curve"],
        seconds=record["seconds"],
        tokens_per_second=record["tokens_per_second"],
    )
