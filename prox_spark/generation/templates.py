"""Prompt templates: named, versioned, never changed once released (a changed one gets the next number).

A prompt is the template's prefix, what is sent of the document, and the template's suffix, each tokenised on its own
and joined as token ids (``prox_spark.generation.tokens``). ``begin`` puts the tokenizer's BOS token before it, once; no
tokenizer adds it by itself. A chunk's lines all end in a line feed, labels stand before them: ``[003]text``. A wrong
template yields silent no-ops, so a refiner names the one it was trained with.
"""

import json
from dataclasses import dataclass

from prox_spark.errors import RefinerError
from prox_spark.suggest import unknown

SYSTEM = "You are a helpful, respectful and honest assistant."
"""The system line that the released ProX refiners were prompted with (its inference script for refining)."""

_LLAMA2 = f"[INST] <<SYS>>\n{SYSTEM}\n<</SYS>>\n\n"


@dataclass(frozen=True, slots=True)
class Form:
    """The text around a document or a chunk; in it, ``CONTROL`` tokens are entries of the vocabulary."""

    prefix: str
    suffix: str


CONTROL = ("<|im_start|>", "<|im_end|>", "<think>", "</think>")
_QWEN3 = Form(
    "<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n",
    "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
)


@dataclass(frozen=True, slots=True)
class Template:
    """The prompts of a document stage and a chunk stage."""

    name: str
    begin: bool
    document: Form
    chunk: Form
    clip: tuple[int, int] | None = None
    """Chunk stage: a line is this many first and last tokens, then its marks (``prox_spark.generation.marks``)."""
    numbered: bool = False
    """Chunk stage: a line's number in the chunk comes last, one token (``prox_spark.generation.numbers``)."""
    label: str = "[{:03d}]"
    """Chunk stage: what stands before a line; three digits at least, as the released refiners' prompts have them."""
    first_line: int = 0
    """Chunk stage: the number of the first line."""
    overlap: float = 0.0
    """Chunk stage: the share of a window that the next one shows again."""
    open_end: bool = False
    """Chunk stage: no line end after the last line."""
    system: bool = False
    """Needs the refiner's own instruction, in the place of ``{system}``."""

    def text(self) -> str:
        """All that the template says, as it goes into a refiner's fingerprint."""
        parts = [
            self.begin,
            self.document.prefix,
            self.document.suffix,
            self.chunk.prefix,
            self.chunk.suffix,
            self.clip,
            *(["numbered"] if self.numbered else []),
            *([self.label, self.first_line, self.overlap, self.open_end] if self.first_line else []),
        ]
        return json.dumps(parts)

    def form(self, stage: str) -> Form:
        """The form of ``stage``."""
        return self.document if stage == "document" else self.chunk


def _ultrax(name: str) -> Template:
    return Template(
        name, False, _QWEN3, _QWEN3, label="<lid:{}>", first_line=1, overlap=0.2, open_end=True, system=True
    )


TEMPLATES = {
    template.name: template
    for template in (
        # Released refiners ship no chat template; others measured that this form gives the most operations.
        Template("prox-plain/1", True, Form("[doc]\n", "\n[/doc]"), Form("[doc]\n", "[/doc]")),
        # What old versions of transformers fell back to: Llama 2's chat form. The document stage sends plain text.
        Template("prox-llama2/1", True, Form(_LLAMA2, " [/INST]"), Form(f"{_LLAMA2}[doc]\n", "[/doc] [/INST]")),
        # Our own refiners: as little as tells a model where the page ends and its answer begins.
        Template("lines/1", True, Form("", "\n[/doc]\n"), Form("", "[/doc]\n")),
        # Token classifiers: the page alone.
        Template("text/1", True, Form("", ""), Form("", "")),
        # Small line scorers: how a line begins and ends, and what it looks like; long lines cost what short ones do.
        Template("marked/2", False, Form("", ""), Form("", ""), clip=(6, 2)),
        # The same for small models that write programs: a number at each line's end, which they have only to repeat.
        Template("numbered/1", False, Form("", "\n"), Form("", "\n"), clip=(6, 2), numbered=True),
        # UltraX (arXiv 2607.08646): Qwen3's chat form without thinking. Its models work on chunks alone.
        _ultrax("ultrax/1"),
        # The same prompts; only the grammar differs (``prox_spark.programs.grammar``).
        _ultrax("ultrax/2"),
    )
}
"""Every template by its name."""


def template(name: str) -> Template:
    """The template of this name. Raises ``RefinerError`` where there is none."""
    if name not in TEMPLATES:
        raise RefinerError(unknown("prompt template", name, TEMPLATES))
    return TEMPLATES[name]
