"""A scripted large model behind the loopback endpoint: its answers follow from the words of the page it is asked about."""

import json
import re
from typing import Any

from endpoint import Behaviour, Handler, serving

MENU, LINK, FOOTER = "Home | News", "Read more: another story", "(c) 2021 Somebody"
PROSE = "The tide came in twice that day and twice the mill went still."


_VAGUE = "/vague"


def vague(url: str) -> str:
    """The URL of the same endpoint at which the model answers in prose, which is no answer."""
    return url.replace("/v1", f"{_VAGUE}/v1")


def about(payload: dict[str, Any]) -> tuple[str, str]:
    """The task, and the page's name (``Page N`` in its text, or the first word of it)."""
    task = payload["response_format"]["json_schema"]["name"]
    found = re.search(r"Page \w+", page(payload))
    return task, found.group() if found else ""


def page(payload: dict[str, Any]) -> str:
    text: str = payload["messages"][-1]["content"]
    return text.removeprefix("<page>\n").removesuffix("\n</page>")


def says(content: str | None, *, finish: str | None = "stop", refusal: str | None = None) -> Behaviour:
    """This reply."""
    choice = {
        "index": 0,
        "finish_reason": finish,
        "message": {"role": "assistant", "content": content, "refusal": refusal},
    }
    body = {"choices": [choice], "usage": {"prompt_tokens": 700, "completion_tokens": 20}}
    return lambda handler, _: handler.say(200, json.dumps(body).encode())


def scores(edu: int, format: int) -> Behaviour:
    return says(json.dumps({"reason": "so", "edu": edu, "format": format}))


def program(text: str) -> Behaviour:
    return says(json.dumps({"program": text}))


def sensible(handler: Handler, payload: dict[str, Any]) -> None:
    """Menus go by navigation, links by links, footers by footer; a page with prose is worth keeping."""
    task, _ = about(payload)
    shown = page(payload)
    if handler.path.startswith(_VAGUE):
        says("It is a page like any other.")(handler, payload)
        return
    if task == "scores":
        scores(3 if PROSE in shown else 1, 5)(handler, payload)
        return
    wanted = {"navigation": MENU, "links": LINK, "footer": FOOTER}[task]
    numbers = [int(n) for n in re.findall(rf"\[(\d+)\] {re.escape(wanted)}", shown)]
    calls = [f"remove_lines(line_start={n}, line_end={n})" for n in numbers]
    program("\n".join(calls) or "keep_chunk()")(handler, payload)


def annotator():  # type: ignore[no-untyped-def]
    """An endpoint with that model."""
    return serving(about, sensible)
