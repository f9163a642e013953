"""What the answers of an OpenAI-compatible endpoint mean: a program, or the probability of keeping a document."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prox_spark.engines.endpoint import reading
from prox_spark.engines.endpoint.client import UnusableError
from prox_spark.engines.endpoint.forms import Form
from prox_spark.engines.protocol import Completion, Request
from prox_spark.programs.grammar import follows

_ID = "token_id:"
"""How vLLM writes a token that it returns as its id."""

_BLANKS = " \t\nĠ▁Ċ"
"""What stands before a word in the vocabularies' own writing (byte-level, SentencePiece)."""

_NEVER = -9999.0
"""How servers write a log-probability of minus infinity, which JSON has no word for (OpenAI, vLLM)."""

_MOST = 1.0
"""Log-probabilities are at most 0, and a little more where they are rounded."""

_LEAST_REST = 1e-6
"""Log-probabilities are rounded: what is left beside them is no smaller than that."""

_SHOWN = 80


def completion(request: Request, body: bytes, decode: Callable[[list[int]], str], form: Form) -> Completion:
    """What an answer's body says. ``decode`` gives the text of token ids. Raises ``UnusableError``."""
    read = reading.read_body(body, "completion")
    choice = read.choices[0]
    finish = reading.finish(read, request.max_tokens)
    said, refusal = reading.said(choice) or "", reading.refusal(choice)
    if finish == "filtered" or (refusal and not said):
        how = "it was filtered" if finish == "filtered" else "the model refused"
        reason = (
            f"the answer ended with finish_reason {choice.finish_reason!r}: {how} {(refusal or said)[:_SHOWN]}".strip()
        )
        raise UnusableError(reason, again=False, filtered=True)
    if request.decision is not None:
        return Completion(id=request.id, keep_score=_keep_score(request.decision, choice.logprobs, decode))
    if choice.token_ids is None or (said and not choice.token_ids):
        used = read.usage.completion_tokens if read.usage else None
        found = Completion(id=request.id, output=said, output_tokens=used, finish=_end(finish))
    else:
        found = Completion(
            id=request.id,
            token_ids=choice.token_ids,
            token_logprobs=_token_logprobs(choice.logprobs, len(choice.token_ids)),
            finish=_end(finish),
        )
    if request.grammar is not None and form.grammar is None:
        _check(request.grammar, found, decode)
    return found


def has_decision(body: bytes) -> bool:
    """Whether an answer has log-probabilities of its first token. Raises ``UnusableError``."""
    return bool(_first_tokens(reading.read_body(body, "completion").choices[0].logprobs))


def _end(finish: str) -> Any:
    return "length" if finish == "length" else "stop"


def _check(grammar: str, found: Completion, decode: Callable[[list[int]], str]) -> None:
    """What a grammar would have kept the model from is no answer of this refiner's."""
    text = found.output if found.token_ids is None else decode(found.token_ids)
    if text and not follows(grammar, text, cut=found.finish == "length"):
        raise UnusableError(
            f"the endpoint ignores the grammar, and the answer is not a program: {text[:_SHOWN]!r}", again=False
        )


def _token_logprobs(logprobs: Any, count: int) -> list[float] | None:
    """The log-probability of each generated token; null where any is missing or infinite."""
    values = logprobs.get("token_logprobs") if isinstance(logprobs, Mapping) else None
    if not isinstance(values, list) or len(values) != count:
        return None
    found = [_number(value) for value in values]
    known = [value for value in found if value is not None and math.isfinite(value)]
    return known if len(known) == count else None


def _keep_score(decision: tuple[int, int], logprobs: Any, decode: Callable[[list[int]], str]) -> float:
    """P(keep) among the two words that decide.

    A word that is not among the returned tokens is at most as likely as the least of them, and as what all of them leave;
    it is taken to be.
    """
    first = _first_tokens(logprobs)
    if not first:
        raise UnusableError("the endpoint returned no log-probabilities for the first token", again=False)
    by_id = any(token.startswith(_ID) for token in first)
    found = [first.get(f"{_ID}{token}") if by_id else _of_word(first, decode([token])) for token in decision]
    words = [repr(decode([token])) for token in decision]
    if found == [None, None]:
        raise UnusableError(
            f"the {len(first)} most likely first tokens include neither {words[0]} nor {words[1]}", again=False
        )
    rest = max(1.0 - sum(math.exp(min(value, 0.0)) for value in first.values()), _LEAST_REST)
    bound = min([math.log(rest), *filter(math.isfinite, first.values())])
    keep, drop = (bound if value is None else value for value in found)
    if keep == drop == -math.inf:
        raise UnusableError(f"the endpoint gives {words[0]} and {words[1]} a probability of 0", again=False)
    return 1.0 / (1.0 + math.exp(min(drop - keep, 700.0)))


def _of_word(first: Mapping[str, float], word: str) -> float | None:
    """The log-probability of a word; where its own name is missing, of what only has other blanks before it."""
    if word in first:
        return first[word]
    bare = word.strip(_BLANKS)
    return max((value for token, value in first.items() if bare and token.strip(_BLANKS) == bare), default=None)


def _first_tokens(logprobs: Any) -> dict[str, float]:
    """The likeliest first tokens and their log-probabilities, in whichever form; empty where there are none."""
    if not isinstance(logprobs, Mapping):
        return {}
    content = logprobs.get("content")
    if isinstance(content, list) and content and isinstance(content[0], Mapping):
        # Chat's form, which llama.cpp and others have for completions, too.
        candidates = content[0].get("top_logprobs") or [content[0]]
    else:
        top, tokens, values = (logprobs.get(name) for name in ("top_logprobs", "tokens", "token_logprobs"))
        candidates = top[0] if isinstance(top, list) and top else None
        if candidates is None and isinstance(tokens, list) and isinstance(values, list):
            # The chosen one alone.
            candidates = [list(pair) for pair in zip(tokens[:1], values[:1], strict=False)]
    return {token: value for token, value in _pairs(candidates) if value is not None}


def _pairs(candidates: Any) -> Iterator[tuple[str, float | None]]:
    """(token, log-probability) of a mapping, of a list of mappings, or of a list of pairs in either order."""
    if isinstance(candidates, Mapping):
        for token, value in candidates.items():
            yield token, _number(value)
    for one in candidates if isinstance(candidates, list) else ():
        if isinstance(one, Mapping):
            token = one.get("token", one.get("text"))
            if isinstance(token, str):
                yield token, _number(one.get("logprob"))
        elif isinstance(one, list):
            token = next((part for part in one if isinstance(part, str)), None)
            values = [_number(part) for part in one if not isinstance(part, str)]
            if token is not None and values:
                yield token, values[0]


def _number(value: Any) -> float | None:
    """A log-probability; null for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if value <= _NEVER:
        return -math.inf
    # No probability is above 1; and an integer may have more digits than a float takes.
    return float(value) if value < _MOST else None
