"""What an endpoint means where it does not answer: by status, by the codes in the body, whichever server wrote it.

Servers say so with another status than 200, or with 200 and a body that is an error (proxies that have begun an answer).
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

Kind = Literal["refused", "filtered", "again", "quota", "key", "access", "model", "path", "rejected"]
"""``refused``: this request, for its form. ``filtered``: this request, for what its prompt says. ``again``: it may be sent
again. The others concern every request: the money is used up, the key is missing or wrong, access is denied, no such model, no
such path, anything else."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why there is no answer; ``said``: status and the server's own words, which may hold a key."""

    kind: Kind
    said: str


_STATUSES: dict[int, Kind] = {
    **dict.fromkeys((400, 413, 422), "refused"),
    401: "key",
    # OpenRouter, DeepSeek, Hugging Face: no credit left.
    402: "quota",
    403: "access",
    **dict.fromkeys((405, 501), "path"),
    # 424 is TGI's for a generation that failed (its OpenAPI document).
    # 498 is Groq's for too little capacity, 499 Google's for a request that it cancelled.
    **dict.fromkeys((408, 409, 424, 425, 429, 498, 499), "again"),
}

_CODES: dict[str, Kind] = {
    # OpenAI (guide on error codes): out of money comes as a 429, like a rate limit.
    "insufficient_quota": "quota",
    "billing_hard_limit_reached": "quota",
    "billing_not_active": "quota",
    "billing_error": "quota",
    # Moonshot, DeepSeek, one-api's gateways, Alibaba's Model Studio.
    "exceeded_current_quota_error": "quota",
    "insufficient_balance": "quota",
    "insufficient_user_quota": "quota",
    "arrearage": "quota",
    # OpenAI, Anthropic, Google (the reason in its details), with any status.
    "invalid_api_key": "key",
    "authentication_error": "key",
    "api_key_invalid": "key",
    # LiteLLM's proxy (budgets): a 400 or a 429.
    "budget_exceeded": "quota",
    # Azure OpenAI, LiteLLM: a 400 for what the prompt says.
    "content_filter": "filtered",
    "content_policy_violation": "filtered",
    "responsibleaipolicyviolation": "filtered",
    # OpenAI, Anthropic, TGI, Databricks (error_code), Google (status), where no status says it.
    "rate_limit_exceeded": "again",
    "rate_limit_error": "again",
    "overloaded_error": "again",
    "overloaded": "again",
    "request_limit_exceeded": "again",
    "resource_exhausted": "again",
    "temporarily_unavailable": "again",
    # OpenAI, Azure OpenAI, Databricks.
    "model_not_found": "model",
    "deploymentnotfound": "model",
    "resource_does_not_exist": "model",
    # Hugging Face, Groq, Together, Mistral: with a 400.
    "model_not_supported": "model",
    "model_decommissioned": "model",
    "model_not_available": "model",
    "invalid_model": "model",
}
"""Codes that say more than the status, in lower case. Messages are not searched for quota: Google's say the same of a rate."""

_FILTERED = re.compile("ContentPolicyViolationError|requires moderation|input was flagged")
"""LiteLLM names its exception in the message alone; OpenRouter answers 403 (its document on errors)."""

_IN_WORDS: tuple[tuple[re.Pattern[str], Kind], ...] = (
    (_FILTERED, "filtered"),
    # Anthropic: a 400 of the type that malformed requests have.
    (re.compile("credit balance is too low", re.IGNORECASE), "quota"),
    # LiteLLM, OpenRouter: a 400.
    (re.compile("invalid model name|not a valid model ID", re.IGNORECASE), "model"),
)
"""What is said in the message alone."""

_OF_CHAT = re.compile(r"chat/completions|chat model", re.IGNORECASE)
"""So OpenAI answers with 404 where a model has no completions."""

_OF_MODEL = re.compile(r"\bmodel\b|\bdeployment\b", re.IGNORECASE)


def of_status(status: int, body: Any, model: str) -> Fault:
    """What an answer of another status than 200 means; ``body`` as parsed JSON, or its text where it is none."""
    message = words(body)
    return Fault(_kind(status, list(_codes(body)), message, model), f"{status}: {message or 'no reason given'}")


def in_answer(content: bytes, model: str) -> Fault | None:
    """The fault in a body of status 200; ``None`` where it is an answer, or nothing that can be read."""
    # Parsed only where it may be one: answers are many.
    if b'"choices"' in content and b'"error"' not in content:
        return None
    try:
        body = orjson.loads(content)
    except ValueError:
        return None
    body = _only(body)
    if not isinstance(body, dict):
        return None
    if body.get("choices"):
        # OpenRouter's place for what the provider behind it says.
        body = {"error": _only(body["choices"]).get("error")} if isinstance(_only(body["choices"]), dict) else {}
    codes = list(_codes(body))
    named = any(body.get(name) for name in ("error", "errors", "detail", "error_code", "msg"))
    if not (named or "error" in codes or body.get("object") == "error" or isinstance(body.get("message"), str)):
        return None
    status = next((int(code) for code in codes if len(code) == 3 and code.isdecimal() and 400 <= int(code) < 600), None)
    message = words(body) or "no reason given"
    if status is None:
        return Fault(_kind(500, codes, message, model), f"200 with an error: {message}")
    return Fault(_kind(status, codes, message, model), f"{status}: {message}")


def _kind(status: int, codes: list[str], message: str, model: str) -> Kind:
    for code in codes:
        if code in _CODES:
            return _CODES[code]
    for pattern, kind in _IN_WORDS:
        if pattern.search(message):
            return kind
    if status == 404:
        if _OF_CHAT.search(message):
            return "path"
        named = re.search(rf"(?<!\w){re.escape(model)}(?!\w)", message)
        return "model" if named or _OF_MODEL.search(message) else "path"
    return _STATUSES.get(status, "again" if status >= 500 else "rejected")


def _codes(body: Any, depth: int = 0) -> Iterator[str]:
    """Everything in a body that names the kind of error, in lower case; the narrowest first."""
    body = _only(body)
    if not isinstance(body, Mapping) or depth == _DEEPEST:
        return
    for name in ("details", "innererror", "error", "errors"):
        yield from _codes(body.get(name), depth + 1)
    for name in ("code", "type", "error_code", "error_type", "status", "reason"):
        value = body.get(name)
        if isinstance(value, str | int) and value:
            yield str(value).lower()


def words(body: Any) -> str:
    """A server's words, empty where it has none.

    OpenAI's ``error.message``, TGI's ``error``, Databricks' ``message``, FastAPI's ``detail``, a gateway's page.
    """
    for _ in range(_DEEPEST):
        body = _only(body)
        if not isinstance(body, Mapping):
            break
        body = next((body[name] for name in _WORDS if body.get(name)), None) or [*body.items()]
    if isinstance(body, str | bytes):
        return body if isinstance(body, str) else body.decode(errors="replace")
    try:
        return json.dumps(body, default=str) if body else ""
    except (RecursionError, ValueError):
        return "an error that is nested too deeply to be shown"


def _only(body: Any) -> Any:
    """The first of a list, as Google's servers wrap an error, else the body itself."""
    return body[0] if isinstance(body, list) and body and isinstance(body[0], Mapping) else body


_WORDS = ("error", "errors", "message", "detail", "msg")
_DEEPEST = 8
"""Objects within objects that are looked into."""
