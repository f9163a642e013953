"""Small servers that take, refuse and ignore what their namesakes do by their documents (November 2026).

Behind each is the same model, which writes ``program`` unless it is held to a grammar.
"""

import json
from dataclasses import dataclass
from typing import Any

from endpoint import Behaviour, Handler

PROGRAM = "remove_lines(start=0, end=0)"
TOP = {"k": -0.5, "d": -2.5, "z": -4.0}


def write(grammar: str | None, otherwise: str = PROGRAM) -> str:
    """What the model writes under a grammar: the only word that it allows, or a program."""
    if grammar is None or "remove_lines" in grammar:
        return otherwise if grammar is None else PROGRAM
    return grammar.split('"')[1]


def answer(handler: Handler, text: str, finish: Any = "stop", **more: Any) -> None:
    choice = {"index": 0, "text": text, "finish_reason": finish, **more}
    handler.say(200, json.dumps({"choices": [choice], "usage": {"completion_tokens": 5}}).encode())


def chat_answer(handler: Handler, content: Any, finish: Any = "stop") -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}
    handler.say(200, json.dumps({"choices": [choice], "usage": {"completion_tokens": 5}}).encode())


def refuse(handler: Handler, code: int, words: Any) -> None:
    handler.say(code, words.encode() if isinstance(words, str) else json.dumps(words).encode())


def openai_error(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None, **more}}


def is_text(payload: dict[str, Any]) -> bool:
    prompt = payload.get("prompt")
    return isinstance(prompt, str) or (isinstance(prompt, list) and all(isinstance(part, str) for part in prompt))


def completes(handler: Handler) -> bool:
    return not handler.path.endswith("/chat/completions")


def vllm(field: str) -> Behaviour:
    """Token ids both ways, a grammar in ``field``; fields that it does not know are ignored."""

    def behave(handler: Handler, payload: dict[str, Any]) -> None:
        held = payload.get(field)
        text = write(held["grammar"] if isinstance(held, dict) else held)
        wanted = payload.get("logprob_token_ids")
        if wanted:
            top = {f"token_id:{token}": value for token, value in zip(wanted, TOP.values(), strict=False)}
            answer(handler, text, "length", logprobs={"top_logprobs": [top]})
            return
        ids = [ord(letter) for letter in text]
        answer(handler, text, token_ids=ids, logprobs={"token_logprobs": [-0.1] * len(ids)})

    return behave


def ollama(handler: Handler, payload: dict[str, Any]) -> None:
    """Prompts are strings; no log-probabilities, no grammar; what it does not know is ignored."""
    if not isinstance(payload.get("prompt"), str):
        words = "json: cannot unmarshal array into Go struct field CompletionRequest.prompt of type string"
        refuse(handler, 400, openai_error(words))
    elif payload["model"] != "m":
        refuse(handler, 404, openai_error(f'model "{payload["model"]}" not found, try pulling it first'))
    else:
        answer(handler, write(None))


def llama_cpp(handler: Handler, payload: dict[str, Any]) -> None:
    """Token ids, a grammar in ``grammar``, chat's form of log-probabilities; what it does not know is ignored."""
    text = write(payload.get("grammar"))
    top = [{"id": n, "token": token, "bytes": [], "logprob": value} for n, (token, value) in enumerate(TOP.items())]
    answer(handler, text, logprobs={"content": [{**top[0], "top_logprobs": top}]} if "logprobs" in payload else None)


def tgi(handler: Handler, payload: dict[str, Any]) -> None:
    """Prompts are strings; its own finish reasons; no log-probabilities in completions; its grammars are others."""
    if not is_text(payload):
        words = "Failed to deserialize the JSON body into the target type: prompt: no variant of enum Prompt matches"
        refuse(handler, 422, words)
    else:
        answer(handler, write(None), "eos_token")


def tgi_chat(handler: Handler, payload: dict[str, Any]) -> None:
    """Before it had completions: nothing at that path, and no words about it."""
    if completes(handler):
        refuse(handler, 404, "")
    else:
        chat_answer(handler, write(None), "eos_token")


def sglang(handler: Handler, payload: dict[str, Any]) -> None:
    """Token ids in, text out; a grammar in ``ebnf``; what it does not know is ignored."""
    top = {"top_logprobs": [TOP], "tokens": ["k"], "token_logprobs": [-0.5]}
    answer(handler, write(payload.get("ebnf")), logprobs=top if payload.get("logprobs") else None, matched_stop=2)


def litellm(handler: Handler, payload: dict[str, Any]) -> None:
    """Refuses by name what the provider behind it does not take; the provider's filter shows as its own exception."""
    unknown = sorted(payload.keys() & {"logprobs", "return_token_ids", "logprob_token_ids", "repetition_penalty"})
    if unknown:
        words = f"litellm.UnsupportedParamsError: openai does not support parameters: {unknown}, for model=m."
        refuse(handler, 400, openai_error(words, code="400"))
    elif not is_text(payload):
        refuse(handler, 400, openai_error("litellm.BadRequestError: prompt must be a string or list of strings"))
    else:
        answer(handler, write(None))


def databricks(handler: Handler, payload: dict[str, Any]) -> None:
    """A completions endpoint: text, log-probabilities; fields that it does not know are refused one after the other."""
    known = {"model", "prompt", "temperature", "max_tokens", "logprobs"}
    for name in payload.keys() - known:
        refuse(handler, 400, {"error_code": "BAD_REQUEST", "message": f'Bad request: json: unknown field "{name}"\n'})
        return
    if not is_text(payload):
        words = "Bad request: json: cannot unmarshal number into Go struct field of type string"
        refuse(handler, 400, {"error_code": "BAD_REQUEST", "message": words})
    else:
        answer(handler, write(None), logprobs={"top_logprobs": [TOP]} if payload.get("logprobs") else None)


def databricks_chat(handler: Handler, payload: dict[str, Any]) -> None:
    """A chat endpoint whose model reasons: content in parts."""
    if completes(handler):
        refuse(handler, 400, {"error_code": "BAD_REQUEST", "message": "Bad request: missing field `messages`\n"})
        return
    for name in payload.keys() - {"model", "messages", "temperature", "max_tokens"}:
        refuse(handler, 400, {"error_code": "BAD_REQUEST", "message": f'Bad request: json: unknown field "{name}"\n'})
        return
    thought = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "A menu {first}."}]}
    chat_answer(handler, [thought, {"type": "text", "text": write(None)}])


def openai_chat(handler: Handler, payload: dict[str, Any]) -> None:
    """A chat model: a 404 of which the path is the reason."""
    if completes(handler):
        words = "This is a chat model and not supported in the v1/completions endpoint. Use v1/chat/completions."
        refuse(handler, 404, openai_error(words, param="model"))
    elif payload.keys() & {"repetition_penalty"}:
        refuse(handler, 400, openai_error("Unknown parameter: 'repetition_penalty'.", code="unknown_parameter"))
    else:
        chat_answer(handler, write(None))


@dataclass(frozen=True)
class Server:
    """What is seen of a server: how it is asked for programs under a grammar, and what is said about that.

    ``decides``: whether its log-probabilities decide about documents; otherwise the reason why they do not.
    """

    behave: Behaviour
    prompt: type
    decides: bool | str
    grammar: str | None = None
    told: tuple[str, ...] = ()
    path: str = "/v1"


UNHELD = "holds answers to no grammar"
NO_IDS = "takes no token ids"
CHAT = "only serves chat"
REFUSES = "it refuses"
NO_LOGPROBS = "returns no log-probabilities, and this refiner decides by those"
NO_CHAT = "decision cannot be read in a chat|if it only serves chat"

SERVERS: dict[str, Server] = {
    "vLLM": Server(vllm("structured_outputs"), list, True, "structured_outputs"),
    "vLLM before 0.11": Server(vllm("guided_grammar"), list, True, "guided_grammar"),
    "Ollama": Server(ollama, str, NO_LOGPROBS, told=(NO_IDS, UNHELD)),
    "llama.cpp": Server(llama_cpp, list, True, "grammar", told=("no confidence",)),
    "TGI": Server(tgi, str, NO_LOGPROBS, told=(NO_IDS, UNHELD)),
    "TGI before completions": Server(tgi_chat, dict, NO_CHAT, told=(CHAT, UNHELD)),
    "SGLang": Server(sglang, list, True, "ebnf", told=("no confidence",)),
    "LiteLLM": Server(litellm, str, "refuses a short request", told=(NO_IDS, REFUSES, UNHELD)),
    "Databricks, completions": Server(databricks, str, True, told=(NO_IDS, REFUSES, UNHELD), path="/serving-endpoints"),
    "Databricks, chat": Server(databricks_chat, dict, NO_CHAT, told=(CHAT, UNHELD), path="/serving-endpoints"),
    "OpenAI, chat model": Server(openai_chat, dict, NO_CHAT, told=(CHAT, REFUSES, UNHELD)),
}
