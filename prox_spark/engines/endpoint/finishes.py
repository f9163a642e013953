"""Why an answer ended, in the words of every server: one table.

A new server is a row here and nothing else.
"""

from collections.abc import Mapping
from typing import Literal

Finish = Literal["stop", "length", "filtered", "broken"]
"""``stop``: the model ended. ``length``: a token limit cut the answer off. ``filtered``: a filter or the model's own refusal
ended it, and would again. ``broken``: the server gave up in between, so another attempt may bring more."""

FINISHES: dict[str, Finish] = {
    # OpenAI (API reference: completions, chat completions), and whoever copies it: vLLM, SGLang, llama.cpp, Ollama.
    "stop": "stop",
    "length": "length",
    "content_filter": "filtered",
    "tool_calls": "stop",
    "function_call": "stop",
    # TGI (FinishReason of its OpenAPI document); older versions say so on the OpenAI routes, too (TGI issues 1724, 2344).
    "eos_token": "stop",
    "stop_sequence": "stop",
    # Together (API reference).
    "eos": "stop",
    # Anthropic (Messages API, stop_reason), also behind Bedrock and gateways.
    "end_turn": "stop",
    "tool_use": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "filtered",
    "pause_turn": "broken",
    # Bedrock (Converse API, stopReason).
    "guardrail_intervened": "filtered",
    "content_filtered": "filtered",
    # Gemini and Vertex AI (FinishReason).
    "finish_reason_unspecified": "stop",
    "safety": "filtered",
    "recitation": "filtered",
    "blocklist": "filtered",
    "prohibited_content": "filtered",
    "spii": "filtered",
    "language": "broken",
    "other": "broken",
    # Cohere (Chat API).
    "complete": "stop",
    "error_toxic": "filtered",
    "error_limit": "length",
    "user_cancel": "broken",
    "timeout": "broken",
    # Mistral (API reference).
    "model_length": "length",
    # watsonx.ai (text generation, stop_reason).
    "token_limit": "length",
    "not_finished": "broken",
    "time_limit": "broken",
    "cancelled": "broken",
    # DeepSeek (API reference).
    "insufficient_system_resource": "broken",
    # Amazon Titan (completionReason).
    "finish": "stop",
    # vLLM, where it was asked to end answers that repeat themselves: the same would come again.
    "repetition": "length",
    # vLLM and SGLang, where a request is aborted or its engine fails.
    "abort": "broken",
    "error": "broken",
}
"""Every reason in use, in lower case."""


def finish_of(reason: object) -> Finish | None:
    """What a ``finish_reason`` means; ``None`` where there is none. An unknown one counts as broken.

    >>> finish_of("STOP"), finish_of(""), finish_of({"type": "length", "length": 8})
    ('stop', None, 'length')
    """
    if isinstance(reason, Mapping):
        # SGLang's native answers.
        reason = reason.get("type")
    if reason is None or reason == "":
        return None
    return FINISHES.get(str(reason).lower(), "broken")
