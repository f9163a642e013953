"""What a model folder says of itself, and where each of it comes from."""

from prox_spark.config.engines import ModelSettings, OpenaiSettings
from prox_spark.doctor.check import Check
from prox_spark.engines.folders import Folder, read_folder, read_weights
from prox_spark.engines.models import refiner_folder
from prox_spark.generation.plan import StagePlan
from prox_spark.generation.tokens import PromptTokenizer

_NONE = "none"


def model(plan: StagePlan) -> Check:
    """The reading of the model folder of a stage that could be planned. Raises ``RefinerError`` where a file is damaged."""
    assert isinstance(plan.settings, ModelSettings)
    folder = read_folder(refiner_folder(plan.settings))
    tokenizer = PromptTokenizer(folder.path)
    parts = {
        "architecture": f"{folder.architecture or _NONE} (config.json)",
        **({} if isinstance(plan.settings, OpenaiSettings) else {"weights": _weights(folder)}),
        "context": str(folder.context()),
        "chat template": folder.template() or _NONE,
        "BOS": str(tokenizer.begin or _NONE),
        "EOS": ", ".join(map(str, tokenizer.stops)) or _NONE,
    }
    found = "; ".join(f"{name} {value}" for name, value in parts.items())
    ignored = ", ".join(f"{name} {value}" for name, value in sorted(folder.ignored_defaults().items()))
    if ignored:
        found += f"; generation_config.json also says {ignored}"
    advice = "decoding is greedy: what generation_config.json says beyond its end tokens is not used" if ignored else ""
    if not tokenizer.stops and plan.refiner.max_tokens > 1:
        return Check(
            f"{plan.stage} model",
            "warning",
            found,
            "no end token: every answer is written up to its limit; set eos_token_id in generation_config.json",
        )
    return Check(f"{plan.stage} model", "ok", found, advice)


def _weights(folder: Folder) -> str:
    weights = read_weights(folder.path)
    stored = f"{weights.dtype} in {len(weights.files)} file{'s' if len(weights.files) > 1 else ''}"
    said = folder.dtype()
    method = f", quantised by {folder.quantised}" if folder.quantised else ""
    return f"{stored}{f', config.json says {said.value}' if said else ''}{method}"
