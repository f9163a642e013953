"""The bodies of answers, as servers write them: text or a message, parts, thoughts, counts that are no counts."""

from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, BeforeValidator, Field, ValidationError

from prox_spark.engines.endpoint.client import UnusableError
from prox_spark.engines.endpoint.finishes import Finish, finish_of


def _count(value: object) -> int | None:
    """A number of tokens; some servers say -1 for unknown."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None


_SHOWN = 120
"""Bytes of an answer that is none."""

Tokens = Annotated[int | None, BeforeValidator(_count)]


class Message(BaseModel):
    """A chat message; reasoning models give their thoughts beside the content, under either name."""

    content: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None
    reasoning_content: Any = None
    reasoning: Any = None


class Choice(BaseModel):
    """A completion's text or a chat completion's message."""

    text: Any = None
    message: Annotated[Message | None, Field(validation_alias=AliasChoices("message", "delta"))] = None
    finish_reason: Any = None
    logprobs: Any = None
    token_ids: list[Annotated[int, Field(ge=0, lt=2**32)]] | None = None


class Used(BaseModel):
    """Tokens; null where they are unknown."""

    prompt_tokens: Tokens = None
    completion_tokens: Tokens = None


class Body(BaseModel):
    """An answer."""

    choices: Annotated[list[Choice], Field(min_length=1)]
    usage: Annotated[Used | None, BeforeValidator(lambda value: value if isinstance(value, dict) else None)] = None


def read_body(body: bytes, what: str) -> Body:
    """The answer in a body; ``what`` it should be is said in errors. Raises ``UnusableError``."""
    try:
        return Body.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        shown = body[:_SHOWN].decode(errors="replace").strip() or "nothing"
        raise UnusableError(
            f"the answer is not a {what}: {where}{': ' if where else ''}{first['msg']}: {shown}"
        ) from None


def finish(body: Body, max_tokens: int | None) -> Finish:
    """Why the answer ended. Where the server does not say: at the token limit if it used that many, else by itself.

    Raises ``UnusableError`` for an answer that broke off, for one that says neither text nor why, and for one that calls a tool
    in the place of a text.
    """
    choice = body.choices[0]
    if not choice.model_fields_set & {"text", "message", "token_ids"}:
        raise UnusableError("the answer has neither a text nor a message")
    found = finish_of(choice.finish_reason)
    message = choice.message
    if message is not None and (message.tool_calls or message.function_call) and not said(choice):
        raise UnusableError("the answer is the call of a tool and has no text", again=False)
    if found == "broken":
        raise UnusableError(f"the answer ended with finish_reason {choice.finish_reason!r}")
    if found is not None:
        return found
    if not (said(choice) or choice.token_ids or refusal(choice)):
        raise UnusableError("the answer is incomplete: it has neither text nor a finish_reason")
    used = body.usage.completion_tokens if body.usage else None
    return "length" if max_tokens and used is not None and used >= max_tokens else "stop"


def said(choice: Choice) -> str | None:
    """What the model wrote, without its thoughts; these stand in where they are all that a finished answer has.

    A server that waits for the end of the thoughts files the whole answer under them where the model writes no such end.
    """
    text = _text(choice.text)
    if not text and choice.message is not None:
        text = _text(choice.message.content)
        if not text and finish_of(choice.finish_reason) == "stop":
            text = _text(choice.message.reasoning_content) or _text(choice.message.reasoning) or text
    return text


def refusal(choice: Choice) -> str | None:
    """The words in which the model declined to answer."""
    if choice.message is None:
        return None
    content = choice.message.content
    parts = [part.get("refusal") for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    return _text(choice.message.refusal) or _text(parts)


def _text(content: Any) -> str | None:
    """The text of a content: a string, or parts of which those with text count (Databricks, Mistral, Anthropic)."""
    if content is None or isinstance(content, str):
        return content
    if isinstance(content, dict):
        text = content.get("text") if content.get("type", "text") in ("text", "output_text") else None
        return text if isinstance(text, str) else None
    if isinstance(content, list):
        return "".join(filter(None, map(_text, content)))
    return None
