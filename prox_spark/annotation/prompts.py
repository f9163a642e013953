"""The prompts: instructions, examples, the format of the answer, and their version.

Their texts are in ``texts/*.yaml``. A prompt's version is its number and a digest of everything that affects the
request, so that answers to different prompts are never mixed up.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from prox_spark.config.annotate import AnnotateConfig
from prox_spark.engines.endpoint.chat import ChatRequest

SCORES = "scores"
PROGRAM_TASKS = ("navigation", "links", "footer")
"""The tasks about a chunk, in the order in which their answers are merged."""

OPERATIONS: Mapping[str, frozenset[str]] = {
    "navigation": frozenset({"remove_lines", "keep_chunk"}),
    "links": frozenset({"remove_lines", "normalize", "keep_chunk"}),
    "footer": frozenset({"remove_lines", "keep_chunk"}),
}
"""Operations that a program of each task may call."""

_MARK = {"type": "integer", "enum": [0, 1, 2, 3, 4, 5]}
_SCHEMAS: Mapping[str, dict[str, Any]] = {
    "scores": {"reason": {"type": "string"}, "edu": _MARK, "format": _MARK},
    "program": {"program": {"type": "string"}},
}


@dataclass(frozen=True)
class Prompt:
    """A task's prompt. ``version`` is the value of the column ``prompt_version``; ``limit`` is in characters.

    ``examples`` are pairs of a page and its answer, as they are sent.
    """

    task: str
    version: str
    limit: int
    system: str
    examples: tuple[tuple[str, str], ...]
    schema: Mapping[str, Any]

    @property
    def of_chunks(self) -> bool:
        """Whether its requests are about chunks; otherwise about whole documents."""
        return self.task in PROGRAM_TASKS

    def request(self, number: int, page: str) -> ChatRequest:
        """The question about a document's text or a chunk's ``numbered`` lines."""
        messages = [{"role": "system", "content": self.system}]
        for shown, answer in self.examples:
            messages += [{"role": "user", "content": shown}, {"role": "assistant", "content": answer}]
        messages.append({"role": "user", "content": _page(page)})
        return ChatRequest(number, tuple(messages), self.task, self.schema)


def load_prompts(settings: AnnotateConfig) -> tuple[Prompt, ...]:
    """The prompts of the tasks that the settings ask for."""
    chosen = [SCORES] if "scores" in settings.tasks else []
    chosen += PROGRAM_TASKS if "programs" in settings.tasks else ()
    return tuple(
        load_prompt(task, settings.document_characters if task == SCORES else settings.chunk_characters)
        for task in chosen
    )


@cache
def load_prompt(task: str, limit: int) -> Prompt:
    """One task's prompt for documents or chunks of at most ``limit`` characters."""
    file = resources.files("prox_spark.annotation") / "texts" / f"{task}.yaml"
    read = yaml.safe_load(file.read_text(encoding="utf-8"))
    properties = _SCHEMAS["scores" if task == SCORES else "program"]
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    examples = tuple((_page(one["page"]), json.dumps(one["answer"], ensure_ascii=False)) for one in read["examples"])
    everything = json.dumps([read["system"], examples, schema, limit], sort_keys=True)
    digest = hashlib.sha256(everything.encode()).hexdigest()[:8]
    return Prompt(task, f"{task}/{read['version']}-{digest}", limit, read["system"].strip(), examples, schema)


def numbered(lines: Sequence[str], first: int = 0) -> str:
    """A chunk's lines with their numbers in the document; ``first`` is the number of the first line."""
    return "\n".join(label(number) + line for number, line in enumerate(lines, first))


def label(number: int) -> str:
    """The label before a line: ``[007] ``, at least three digits."""
    return f"[{number:03d}] "


def _page(text: str) -> str:
    return f"<page>\n{text.strip(chr(10))}\n</page>"
