"""Finding out in which form an endpoint can be asked, with a few short requests before the first real one.

Some servers refuse what they do not know, others ignore it, which no refusal tells: a grammar that allows one unlikely word
shows whether it is held to.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from prox_spark.engines.endpoint import answers
from prox_spark.engines.endpoint.client import PathError, RefusedError
from prox_spark.engines.endpoint.forms import GRAMMARS, Form, optional
from prox_spark.engines.protocol import Request
from prox_spark.errors import EngineError

_log = logging.getLogger(__name__)

_PROMPT_TOKENS = 16
_ANSWER_TOKENS = 8
_WORD = "7391"
"""What no model would write by itself."""

GRAMMAR = f'root ::= "{_WORD}"\n'

Ask = Callable[[Request, Form], Awaitable[bytes]]


async def find_form(ask: Ask, request: Request, start: Form, decode: Callable[[list[int]], str], where: str) -> Form:
    """The form in which the endpoint answers requests like ``request``, at best ``start``; logs what it cannot do.

    ``ask`` sends a request in a form and returns the body of the answer. ``where`` names the endpoint in messages.
    Raises ``EngineError`` for an endpoint that cannot be asked, and what ``ask`` raises where there is no telling.
    """
    probe = replace(
        request, token_ids=(request.token_ids or [])[:_PROMPT_TOKENS], max_tokens=_ANSWER_TOKENS, grammar=None
    )
    form, body = await _answered(ask, probe, start, where)
    if request.decision is not None and not answers.has_decision(body):
        raise EngineError(
            f"{where} returns no log-probabilities, and this refiner decides by those of the first token: use another "
            "endpoint, or a refiner whose document stage writes programs (refiner.json without decision)"
        )
    if request.grammar is not None:
        form = replace(form, grammar=await _grammar(ask, probe, form, decode))
    confident = request.decision is not None or answers.completion(probe, body, decode, form).token_ids is not None
    shortcomings = _lacks(request, form, start, confident=confident)
    if shortcomings:
        _log.warning("%s: %s", where, "; ".join(shortcomings), extra={"prompt": form.prompt, "grammar": form.grammar})
    return form


async def _answered(ask: Ask, probe: Request, start: Form, where: str) -> tuple[Form, bytes]:
    """The first form that is answered, and the answer."""
    form: Form = start
    missing: PathError | None = None
    while True:
        try:
            return form, await ask(probe, form)
        except RefusedError as error:
            if error.filtered:
                raise
            following = _next(form, probe, str(error))
            if following is None and missing is not None:
                raise EngineError(f"{missing}; it refuses chats, too ({error})") from None
            if following is None:
                chat = ", and this refiner's decision cannot be read in a chat" if probe.decision is not None else ""
                raise EngineError(f"{where} refuses a short request in every form ({error}){chat}") from None
            form = following
        except PathError as error:
            if probe.decision is not None:
                raise EngineError(
                    f"{error}; if it only serves chat: this refiner decides by the first token after its own prompt, which "
                    "a chat does not show: use a refiner whose document stage writes programs"
                ) from None
            if missing is not None:
                raise EngineError(
                    f"{missing}; it has no chats, either: nothing at {error.path} ({error.said})"
                ) from None
            form, missing = replace(start, prompt="chat"), error


def _next(form: Form, probe: Request, said: str) -> Form | None:
    """What to try after a refusal: without the fields that it names, else without any, else another kind of prompt."""
    may = set(optional(probe, form)) - form.without
    named = {name for name in may if name in said}
    if named:
        return replace(form, without=form.without | named)
    if may and "prompt" not in said.lower():
        return replace(form, without=form.without | may)
    if form.prompt == "token_ids":
        return replace(form, prompt="text", without=frozenset())
    if may:
        return replace(form, without=form.without | may)
    if form.prompt == "text" and probe.decision is None:
        return replace(form, prompt="chat", without=frozenset())
    return None


async def _grammar(ask: Ask, probe: Request, form: Form, decode: Callable[[list[int]], str]) -> str | None:
    """The field in which the endpoint takes a grammar; ``None`` where it holds to it in none."""
    held = replace(probe, grammar=GRAMMAR)
    for name in GRAMMARS:
        try:
            body = await ask(held, replace(form, grammar=name))
        except RefusedError as error:
            if error.filtered:
                raise
            continue
        found = answers.completion(probe, body, decode, form)
        text = found.output if found.token_ids is None else decode(found.token_ids)
        if text is not None and text.strip() == _WORD:
            return name
    return None


def _lacks(request: Request, form: Form, start: Form, *, confident: bool) -> list[str]:
    """What the endpoint cannot do, and what is done instead; ``confident``: its answers have what confidences need."""
    lacks = []
    if form.prompt == "text" != start.prompt:
        lacks.append("it takes no token ids, so prompts are sent as text")
    if form.prompt == "chat":
        lacks.append("it only serves chat, so each prompt is one message in the model's own chat template")
    if form.without:
        lacks.append(f"it refuses {', '.join(sorted(form.without))}, so they are not sent")
    if not confident:
        lacks.append("it returns no token ids with log-probabilities, so calls have no confidence")
    if request.grammar is not None and form.grammar is None:
        lacks.append("it holds answers to no grammar, so each is checked here and fails if it is not a program")
    return lacks
