"""vLLM inside the supervisor: an asynchronous engine that takes token ids and streams finished answers.

No other module calls vLLM: what differs between the versions of ``prox_spark.supported.VLLM`` belongs here.
Importable without vLLM: only ``VllmBackend`` and, where vLLM is installed, ``check_options`` load it.
"""

import ast
import importlib.util
import math
from pathlib import Path
from typing import Any

from prox_spark.engines.folders import check_fit, left_to_vllm, read_folder, stop_ids
from prox_spark.engines.supervised import wire
from prox_spark.engines.supervised.backend import EngineDiedError
from prox_spark.engines.supervised.precision import slow_bfloat16
from prox_spark.engines.supervised.whole import check_whole
from prox_spark.errors import ConfigError
from prox_spark.suggest import unknown

_OURS = {
    "model": "engine.model sets it",
    "revision": "engine.revision sets it",
    "tokenizer": "it comes from the model folder",
    "trust_remote_code": "code from a model folder is never run",
}


def check_options(options: dict[str, Any]) -> None:
    """Refuse names that are no argument of vLLM's engine, with the nearest one that is, and those that are ours.

    Reads the names off vLLM's source, as importing it takes many seconds. Where vLLM is not installed (a driver without
    it) only what is ours is checked; the engine's start checks again. Raises ``ConfigError``.
    """
    for name in options:
        if name in _OURS:
            raise ConfigError(f"engine.options.{name} cannot be set: {_OURS[name]}")
    known = _argument_names() if options else []
    for name in options:
        if known and name not in known:
            raise ConfigError(f"engine.options: {unknown('argument of vLLM', name, known)}")


def _argument_names() -> list[str]:
    """Fields of vLLM's (async) engine arguments, none where it is not installed or no longer a plain dataclass."""
    found = importlib.util.find_spec("vllm")
    if found is None or not found.submodule_search_locations:
        return []
    source = Path(found.submodule_search_locations[0]) / "engine" / "arg_utils.py"
    if not source.is_file():
        return []
    return [
        field.target.id
        for part in ast.parse(source.read_text(encoding="utf-8")).body
        if isinstance(part, ast.ClassDef) and part.name in ("EngineArgs", "AsyncEngineArgs")
        for field in part.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
    ]


def environment(base: dict[str, str], slot: str) -> dict[str, str]:
    """``base`` with what vLLM's processes need: no usage statistics, one GPU, and on a CPU a modest cache.

    What the user has set stays. ``slot`` as ``devices.find_slot`` gives it.
    """
    defaults = {"VLLM_NO_USAGE_STATS": "1", "VLLM_DO_NOT_TRACK": "1", "TOKENIZERS_PARALLELISM": "false"}
    if slot == "cpu":
        # Compiling the rank kernel of log-probabilities takes a CPU 25 s and wins nothing for two tokens.
        # It keeps a core for a front end of its own otherwise: of two cores, one would be idle.
        defaults |= {"VLLM_CPU_KVCACHE_SPACE": "1", "TORCHDYNAMO_DISABLE": "1", "VLLM_CPU_NUM_OF_RESERVED_CPU": "0"}
    result = {**defaults, **base}
    if slot not in ("cpu", "gpu"):
        result["CUDA_VISIBLE_DEVICES"] = slot
    return result


def load(hello: wire.Hello) -> "VllmBackend":
    """The engine with the model that ``hello`` names. Raises whatever it raises."""
    return VllmBackend(hello)


class VllmBackend:
    """One ``AsyncLLM``. Answers are greedy; a decision is one prefill and the two words' log-probabilities.

    A model that scores positions is a token classifier and runs in vLLM's pooling mode: one prefill, no decoding.
    """

    def __init__(self, hello: wire.Hello) -> None:
        check_options(hello.options)
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.platforms import current_platform
        from vllm.v1.engine.async_llm import AsyncLLM

        folder = read_folder(Path(hello.model))
        if not left_to_vllm(hello.options):
            check_whole(folder, check_fit(folder, "vllm", label=hello.label, options=hello.options), hello.label)
        options: dict[str, Any] = {
            "max_model_len": hello.context,
            "disable_log_stats": True,
            # The files that were checked, and never Mistral's own beside them.
            "load_format": "safetensors",
            # Pages share no prefix but the template's few tokens.
            "enable_prefix_caching": False,
            **({"enforce_eager": True} if current_platform.is_cpu() else {}),
            **({"dtype": "float32"} if current_platform.is_cpu() and slow_bfloat16() else {}),
            **({} if hello.label is None else {"runner": "pooling"}),
            **hello.options,
        }
        self._engine = AsyncLLM.from_engine_args(AsyncEngineArgs(model=hello.model, trust_remote_code=False, **options))
        self._label = hello.label
        self._stops = stop_ids(folder) if hello.label is None else ()
        self._count = 0

    async def answer(self, asked: wire.Question) -> wire.Answer:
        """Answer one question."""
        from vllm.v1.engine.exceptions import EngineDeadError

        self._count += 1
        prompt = {"prompt_token_ids": wire.integers(asked.token_ids)}
        final = None
        try:
            async for output in self._outputs(prompt, asked, str(self._count)):
                final = output
        except EngineDeadError as error:
            raise EngineDiedError(f"the engine died: {error}") from error
        if final is None:
            raise RuntimeError("the engine finished the request without an answer")
        if asked.positions is not None:
            probabilities = final.outputs.data[:, self._label].float()
            return wire.Answer(id=asked.id, scores=probabilities[wire.integers(asked.positions)].tolist())
        output = final.outputs[0]
        if asked.decision is not None:
            keep, drop = (output.logprobs[0][token].logprob for token in asked.decision)
            return wire.Answer(id=asked.id, keep_score=1.0 / (1.0 + math.exp(min(drop - keep, 700.0))))
        finish = "length" if output.finish_reason == "length" else "stop"
        ids = list(output.token_ids)
        logprobs = [at[token].logprob for at, token in zip(output.logprobs, ids, strict=True)]
        return wire.Answer(id=asked.id, token_ids=ids, token_logprobs=logprobs, finish=finish)

    def _outputs(self, prompt: Any, asked: wire.Question, request_id: str) -> Any:
        if asked.positions is None:
            return self._engine.generate(prompt, _sampling(asked, self._stops), request_id)
        from vllm.pooling_params import PoolingParams

        return self._engine.encode(prompt, PoolingParams(task="token_classify"), request_id)

    def dead(self) -> str | None:
        """Why the engine is dead, or ``None``."""
        return f"the engine died: {self._engine.dead_error}" if self._engine.errored else None


def _sampling(asked: wire.Question, stops: tuple[int, ...]) -> Any:
    """Greedy decoding up to one of ``stops``; what ``generation_config.json`` says beyond them vLLM's server alone takes."""
    from vllm.sampling_params import RequestOutputKind, SamplingParams, StructuredOutputsParams

    if asked.decision is not None:
        return SamplingParams(
            temperature=0.0,
            max_tokens=1,
            logprob_token_ids=list(asked.decision),
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
    return SamplingParams(
        temperature=0.0,
        max_tokens=asked.max_tokens,
        stop_token_ids=list(stops),
        logprobs=0,
        structured_outputs=StructuredOutputsParams(grammar=asked.grammar) if asked.grammar else None,
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )
