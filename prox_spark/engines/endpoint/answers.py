"""What is asked of an OpenAI-compatible completions endpoint, and what its answers mean.

vLLM's extensions give token ids for token ids and exactly the two log-probabilities that decide; where an endpoint
does not know them, the text and the likeliest first tokens stand in.
"""

import math
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, Field, FiniteFloat, ValidationError

from prox_spark.engines.endpoint.client import UnusableError
from prox_spark.engines.protocol import Completion, Request

_LIKELIEST = 5
"""First tokens whose log-probabilities are asked for: as many as every endpoint gives."""

_ID = "token_id:"
"""How vLLM writes a token that it returns as its id."""


class _Logprobs(BaseModel):
    token_logprobs: list[FiniteFloat | None] | None = None
    top_logprobs: list[dict[str, FiniteFloat] | None] | None = None


class _Choice(BaseModel):
    text: str
    finish_reason: str | None
    logprobs: _Logprobs | None = None
    token_ids: list[Annotated[int, Field(ge=0, lt=2**32)]] | None = None


class _Used(BaseModel):
    completion_tokens: Annotated[int, Field(ge=0, lt=2**31)] | None = None


class _Body(BaseModel):
    choices: Annotated[list[_Choice], Field(min_length=1)]
    usage: _Used | None = None


def arguments(request: Request, *, extended: bool) -> dict[str, Any]:
    """Arguments of the client's ``completions.create`` but for model and prompt; ``extended``: with vLLM's extensions.

    A grammar is sent in either case: without it the answer would be another refiner's.
    """
    asked: dict[str, Any] = {"temperature": 0.0, "max_tokens": request.max_tokens}
    # vLLM's server takes a model's own generation_config.json for its defaults, the engine itself does not.
    more: dict[str, Any] = {"repetition_penalty": 1.0} if extended else {}
    if request.decision is not None:
        asked |= {"max_tokens": 1, "logprobs": _LIKELIEST}
        if extended:
            more |= {"logprob_token_ids": list(request.decision), "return_tokens_as_token_ids": True}
    elif extended:
        asked["logprobs"] = 0
        more["return_token_ids"] = True
    if request.grammar is not None:
        more["structured_outputs"] = {"grammar": request.grammar}
    return asked | {"extra_body": more}


def completion(request: Request, body: bytes, decode: Callable[[list[int]], str]) -> Completion:
    """What an answer's body says. ``decode`` gives the text of token ids. Raises ``UnusableError``."""
    try:
        read = _Body.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UnusableError(f"the answer is not a completion: {where}{': ' if where else ''}{first['msg']}") from None
    choice = read.choices[0]
    if request.decision is not None:
        return Completion(id=request.id, keep_score=_keep_score(request.decision, choice.logprobs, decode))
    if choice.finish_reason not in ("stop", "length"):
        # A filter decides the same again; anything else is an answer broken off.
        filtered = choice.finish_reason == "content_filter"
        raise UnusableError(f"the answer ended with finish_reason {choice.finish_reason!r}", again=not filtered)
    finish: Any = choice.finish_reason
    if choice.token_ids is None:
        used = read.usage.completion_tokens if read.usage else None
        return Completion(id=request.id, output=choice.text, output_tokens=used, finish=finish)
    logprobs = [value for value in (choice.logprobs and choice.logprobs.token_logprobs) or () if value is not None]
    return Completion(
        id=request.id,
        token_ids=choice.token_ids,
        token_logprobs=logprobs if len(logprobs) == len(choice.token_ids) else None,
        finish=finish,
    )


def _keep_score(decision: tuple[int, int], logprobs: _Logprobs | None, decode: Callable[[list[int]], str]) -> float:
    """P(keep) among the two words that decide.

    A word that is not among the returned tokens is at most as likely as the least of them, and taken to be.
    """
    first = logprobs.top_logprobs[0] if logprobs and logprobs.top_logprobs else None
    if not first:
        raise UnusableError("the endpoint returned no log-probabilities for the first token", again=False)
    by_id = any(token.startswith(_ID) for token in first)
    names = [f"{_ID}{token}" if by_id else decode([token]) for token in decision]
    found = [first.get(name) for name in names]
    if found == [None, None]:
        words = " nor ".join(repr(decode([token])) for token in decision)
        raise UnusableError(f"the {len(first)} most likely first tokens include neither {words}", again=False)
    keep, drop = (min(first.values()) if value is None else value for value in found)
    return 1.0 / (1.0 + math.exp(min(drop - keep, 700.0)))
