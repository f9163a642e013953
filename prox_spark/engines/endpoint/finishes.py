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
    "image_safety": "filtered",
    "image_prohibited_content": "filtered",
    "model_armor": "filtered",
    "malformed_function_call": "broken",
    "malformed_response": "broken",
    "unexpected_tool_call": "broken",
    "too_many_tool_calls": "broken",
    # Cohere (Chat API).
    "tool_call": "stop",
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
    # OpenAI (Responses API, status and incomplete_details), as gateways pass it on.
    "completed": "stop",
    "max_output_tokens": "length",
    # LM Studio, Ollama behind gateways (pi pull request 2116).
    "end": "stop",
    # LM Studio's own (stopReason of its SDK).
    "eosfound": "stop",
    "stopstringfound": "stop",
    "maxpredictedtokensreached": "length",
    "contextlengthreached": "length",
    # llama.cpp's own (stop_type).
    "word": "stop",
    "limit": "length",
    # TensorRT-LLM, Triton (FinishReason).
    "end_id": "stop",
    "stop_words": "stop",
    "timed_out": "broken",
    # Zhipu (API reference).
    "sensitive": "filtered",
    "network_error": "broken",
    # Baidu, AI21, Aleph Alpha (API references).
    "normal": "stop",
    "endoftext": "stop",
    "end_of_text": "stop",
    "stop_sequence_reached": "stop",
    "maximum_tokens": "length",
    # xAI (gRPC: REASON_STOP, REASON_MAX_LEN).
    "max_len": "length",
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
    # A name of Python's or a protocol buffer's enumeration, and Vercel's hyphens.
    name = str(reason).strip().lower().rpartition(".")[2].replace("-", "_")
    if name in ("", "none", "null"):
        return None
    return FINISHES.get(name, FINISHES.get(name.removeprefix("finish_").removeprefix("reason_"), "broken"))
