"""The form in which an endpoint is asked: what its server takes, of what vLLM's does.

vLLM's extensions give token ids for token ids and exactly the two log-probabilities that decide; where an endpoint
does not know them, the text and the likeliest first tokens are used instead.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from prox_spark.engines.protocol import Request

LIKELIEST = 5
"""First tokens whose log-probabilities are asked for: as many as every endpoint gives."""

GRAMMARS: Mapping[str, Callable[[str], Any]] = {
    # vLLM from 0.11 on.
    "structured_outputs": lambda grammar: {"grammar": grammar},
    # vLLM before.
    "guided_grammar": str,
    # SGLang.
    "ebnf": str,
    # llama.cpp: its GBNF has everything that our grammars use.
    "grammar": str,
}
"""The fields that servers take a grammar in, and what each holds. Other servers ignore such a field, or refuse it."""


@dataclass(frozen=True, slots=True)
class Form:
    """How an endpoint is asked.

    ``prompt``: as token ids, as text, or as the one message of a conversation, where it has nothing else. ``without``: fields
    of the body that it refuses. ``grammar``: the field in which it takes a grammar and holds to it; ``None`` where it does
    not, and answers are checked here.
    """

    prompt: Literal["token_ids", "text", "chat"] = "token_ids"
    without: frozenset[str] = frozenset()
    grammar: str | None = None


def _fields(request: Request, form: Form) -> dict[str, Any]:
    """The body of a request but for model and prompt."""
    asked: dict[str, Any] = {"temperature": 0.0, "max_tokens": request.max_tokens}
    if request.decision is not None:
        asked |= {"max_tokens": 1, "logprobs": LIKELIEST}
    if request.grammar is not None and form.grammar is not None:
        asked[form.grammar] = GRAMMARS[form.grammar](request.grammar)
    more = optional(request, form)
    return asked | {name: value for name, value in more.items() if name not in form.without}


def body(request: Request, form: Form, model: str, decode: Callable[[list[int]], str]) -> dict[str, Any]:
    """The whole body of a request; ``decode`` gives the text of token ids."""
    ids = request.token_ids or []
    asked = {"model": model, **_fields(request, form)}
    if form.prompt == "chat":
        return asked | {"messages": [{"role": "user", "content": decode(ids)}]}
    return asked | {"prompt": ids if form.prompt == "token_ids" else decode(ids)}


def optional(request: Request, form: Form) -> dict[str, Any]:
    """The fields that an endpoint may do without."""
    # vLLM's server takes a model's own generation_config.json for its defaults, the engine itself does not.
    more: dict[str, Any] = {"repetition_penalty": 1.0}
    if form.prompt == "chat":
        # Its tokens would follow another prompt than ours.
        return more
    if request.decision is not None:
        return more | {"logprob_token_ids": list(request.decision), "return_tokens_as_token_ids": True}
    return more | {"logprobs": 0, "return_token_ids": True}
