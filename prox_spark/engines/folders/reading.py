"""The settings of a model folder, and which file each of them comes from."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prox_spark.errors import RefinerError

CONFIG, GENERATION = "config.json", "generation_config.json"
TOKENIZER, SPECIAL = "tokenizer_config.json", "special_tokens_map.json"

_MARK = b"\xef\xbb\xbf"

_CONTEXTS = (
    *("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "model_max_length"),
    *("max_sequence_length", "max_seq_length", "seq_len", "n_ctx"),
)
"""The names under which architectures keep the length of their context."""

_DEFAULT_CONTEXT = 2048
_ASSUMED = "assumed"

_GREEDY = ("eos_token_id", "bos_token_id", "pad_token_id", "transformers_version", "_from_model_config")
"""Settings of ``generation_config.json`` that greedy decoding follows, or that say nothing of decoding."""

CAUSAL = frozenset(
    {
        *("apertus", "arcee", "axk1", "axk2", "biogpt", "bloom", "deepseek_v3", "diffllama", "exaone4", "falcon"),
        *("gemma", "gemma2", "glm", "glm4", "gpt-sw3", "gpt2", "gpt_bigcode", "gpt_neo", "gpt_neox", "gpt_oss"),
        *("helium", "llama", "minimax", "ministral", "ministral3", "mistral", "mixtral", "mpt", "nemotron"),
        *("persimmon", "phi", "phi3", "qwen2", "qwen2_moe", "qwen3", "qwen3_5", "qwen3_moe", "qwen3_next"),
        *("seed_oss", "smollm3", "stablelm", "starcoder2", "xlnet"),
    }
)
"""Types of model (``model_type``) whose token classifiers see only what stands before a token: those that transformers 5.19 has
as token classifiers and causal models, but not as masked ones."""


@dataclass(frozen=True, slots=True)
class Said:
    """A value, and the file that says it."""

    value: Any
    where: str

    def __str__(self) -> str:
        return f"{self.value} ({self.where})"


@dataclass(frozen=True, slots=True)
class Folder:
    """The settings of a model folder, each file as a mapping (empty where it is missing).

    ``marked`` are the files that begin with a byte order mark, which transformers does not read.
    """

    path: Path
    config: Mapping[str, Any]
    generation: Mapping[str, Any]
    tokenizer: Mapping[str, Any]
    special: Mapping[str, Any]
    marked: tuple[str, ...] = ()

    @property
    def model_type(self) -> str:
        """The type of the model as transformers names it; empty where ``config.json`` does not say."""
        return str(self.config.get("model_type") or "")

    @property
    def architecture(self) -> str:
        """The class of the model; empty where ``config.json`` does not say."""
        named = self.config.get("architectures")
        return str(named[0]) if isinstance(named, list) and named else ""

    @property
    def causal(self) -> bool:
        """Whether a token of this model sees only what stands before it."""
        return self.model_type in CAUSAL and not self.config.get("use_bidirectional_attention")

    @property
    def quantised(self) -> str | None:
        """The method that quantised the weights (``gptq``, ``awq``, ``fp8``, …), where one did."""
        found = self.config.get("quantization_config")
        return str(found.get("quant_method") or "unknown") if isinstance(found, dict) else None

    @property
    def ties_head(self) -> bool | None:
        """Whether ``config.json`` says that the head is the embedding; null where it does not say."""
        found = self._text().get("tie_word_embeddings", self.config.get("tie_word_embeddings"))
        return found if isinstance(found, bool) else None

    def context(self) -> Said:
        """Tokens of the context. Raises ``RefinerError`` where the value is not a number."""
        text = self._text()
        for name in _CONTEXTS:
            value = text.get(name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 1:
                raise RefinerError(f"{self.path / CONFIG}: {name} is not a number of tokens: {value!r}")
            return Said(int(value), f"{name} in {CONFIG}")
        return Said(_DEFAULT_CONTEXT, f"{_ASSUMED}: {CONFIG} has no context")

    def limited(self, engine: str) -> bool:
        """Whether ``engine`` cannot go beyond ``context``: vLLM refuses to, and positions that were learnt have an end.

        Not where ``config.json`` stretches positions (``rope_scaling``): each engine computes that context in its own way.
        """
        text = self._text()
        said = self.context().where
        stretched = text.get("rope_scaling") or "factor" in (text.get("rope_parameters") or {})
        return (
            not stretched and not said.startswith(_ASSUMED) and (engine == "vllm" or not said.startswith(_CONTEXTS[0]))
        )

    def dtype(self) -> Said | None:
        """The type of the weights as ``config.json`` says it."""
        for name in ("dtype", "torch_dtype"):
            value = self._text().get(name) or self.config.get(name)
            if value:
                return Said(str(value).removeprefix("torch."), f"{name} in {CONFIG}")
        return None

    def token(self, name: str) -> Said | None:
        """The special token of this name (``bos_token``, ``eos_token``) as the tokenizer's files say it.

        transformers lets ``special_tokens_map.json`` speak only where ``tokenizer_config.json`` lists no added tokens.
        """
        files = [(TOKENIZER, self.tokenizer)]
        if "added_tokens_decoder" not in self.tokenizer:
            files.insert(0, (SPECIAL, self.special))
        for where, settings in files:
            value = settings.get(name)
            value = value.get("content") if isinstance(value, dict) else value
            if isinstance(value, str) and value:
                return Said(value, where)
        return None

    def end_ids(self) -> list[Said]:
        """Ids of end tokens as the model's own settings name them."""
        found: list[Said] = []
        for where, settings in ((GENERATION, self.generation), (CONFIG, self._text()), (CONFIG, self.config)):
            value = settings.get("eos_token_id")
            for number in value if isinstance(value, list) else [value]:
                if isinstance(number, int) and not isinstance(number, bool):
                    found.append(Said(number, where))
        return list(dict.fromkeys(found))

    def template(self) -> str | None:
        """The file with the chat template, where there is one."""
        if self.tokenizer.get("chat_template"):
            return TOKENIZER
        return next(
            (name for name in ("chat_template.jinja", "chat_template.json") if (self.path / name).exists()), None
        )

    def ignored_defaults(self) -> dict[str, Any]:
        """What ``generation_config.json`` asks for and greedy decoding leaves out: sampling, penalties, beams, …"""
        return {name: value for name, value in self.generation.items() if name not in _GREEDY and value is not None}

    def _text(self) -> Mapping[str, Any]:
        """The part of ``config.json`` about the language model: of its own where the model has images, too."""
        inner = self.config.get("text_config")
        return inner if isinstance(inner, dict) else self.config


def read_folder(path: Path) -> Folder:
    """Read the settings in a model folder. Raises ``RefinerError`` where a file cannot be read."""
    names = (CONFIG, GENERATION, TOKENIZER, SPECIAL)
    config, generation, tokenizer, special = (
        read_json(path / name) if (path / name).is_file() else {} for name in names
    )
    marked = tuple(name for name in (*names, "tokenizer.json") if _is_marked(path / name))
    return Folder(path, config, generation, tokenizer, special, marked)


def read_json(file: Path) -> dict[str, Any]:
    """An object in a JSON file, with or without a byte order mark. Raises ``RefinerError`` that names the file."""
    try:
        found = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise RefinerError(f"{file} cannot be read as JSON: {error or type(error).__name__}") from None
    if not isinstance(found, dict):
        raise RefinerError(f"{file} is not a JSON object")
    return found


def _is_marked(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return opened.read(len(_MARK)) == _MARK
