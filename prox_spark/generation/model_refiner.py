"""The refiner in a model's folder.

A model folder may have a ``refiner.json``::

    {"name": "…", "context": 2048,
     "document": {"template": "lines/1", "window": 2000, "decision": ["keep", "drop"]},
     "chunk": {"template": "lines/1", "window": 1500, "max_tokens": 256, "numbering": "document", "grammar": false}}

A stage with a ``label`` is a token classifier, which writes no program: the probability of that label (a name in
``config.json``'s ``id2label``) is read at the last token of each line, or at the first token of a document (its last one where
the model is causal). A window that the context cannot hold is shortened, unless the configuration sets it. ``int8`` says that
such a model keeps its F1 in whole numbers of 8 bits: the engine ``onnx`` then uses them. ``system`` names a file of
the folder: the instruction that the model was trained with, for templates that need one.
A folder without ``refiner.json`` is taken for a released ProX refiner.
"""

import json
import logging
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from prox_spark.config.engines import ModelSettings, OnnxSettings, OpenaiSettings, VllmSettings, answering_options
from prox_spark.engines.digests import file_digest
from prox_spark.engines.folders import OLDER, Folder, read_folder, read_json
from prox_spark.engines.models import refiner_folder
from prox_spark.errors import RefinerError
from prox_spark.generation.refiner import Numbering, Overrides, Refiner, Stage
from prox_spark.generation.templates import Form, template
from prox_spark.programs.grammar import grammar_of
from prox_spark.section import Section

_log = logging.getLogger(__name__)

_DIGESTED = ("config.json", "generation_config.json", "tokenizer*", "special_tokens_map.json")
_DIGESTED_OLD = ("vocab.json", "merges.txt", "added_tokens.json")
_WEIGHTS = "*.safetensors"


class _StageFile(Section):
    template: str
    window: Annotated[int, Field(gt=0)]
    max_tokens: Annotated[int, Field(ge=0)] = 1
    numbering: Numbering = "document"
    decision: tuple[str, str] | None = None
    label: str | None = None
    grammar: bool = False
    int8: bool = False
    system: str | None = None


class _RefinerFile(Section):
    name: str
    context: Annotated[int, Field(gt=0)]
    document: _StageFile | None = None
    chunk: _StageFile | None = None


_RELEASED = {
    # ProX cuts documents at 2,000 tokens; its answer is `drop_doc()` or `keep_doc()`.
    "document": _StageFile(template="prox-llama2/1", window=2000, max_tokens=10),
    # ProX, appendix on inference: chunks of 1,500 tokens, 256 tokens of output, lines numbered through the document.
    "chunk": _StageFile(template="prox-plain/1", window=1500, max_tokens=256),
}

_RELEASED_CONTEXT = 2048


def model_refiner(stage: Stage, settings: ModelSettings, given: Overrides) -> Refiner:
    """The refiner in the folder of these settings. Reads (and digests) its files. Raises ``RefinerError``."""
    folder = read_folder(refiner_folder(settings))
    if not (folder.path / "refiner.json").is_file():
        _refuse_others(folder.path, settings)
    name, context, own = _read(folder, stage)
    template_name = given.template or own.template
    form = template(template_name).form(stage)
    system = _system(folder.path, own.system, template_name, stage, own.numbering)
    decision = own.decision if stage == "document" else None
    label = _label(folder, own.label) if own.label else None
    max_tokens = 0 if own.label else given.max_tokens or own.max_tokens
    held = (own.grammar if given.grammar is None else given.grammar) and decision is None and label is None
    return Refiner(
        stage=stage,
        name=name or Path(settings.model).name,
        kind="model",
        sources=_sources(folder.path, settings),
        revision=settings.revision,
        template=template_name,
        numbering=own.numbering,
        window=given.window or _window(own.window, context, max_tokens, form, folder.path),
        context=context,
        max_tokens=max_tokens,
        decision=decision,
        label=label,
        grammar=grammar_of(stage, template_name) if held else None,
        options=_options(settings, own),
        at_end=label is not None and stage == "document" and folder.causal,
        system=system,
    )


def _window(window: int, context: int, max_tokens: int, form: Form, folder: Path) -> int:
    """The refiner's own window, shortened where it and the output alone fill the context. Needs no tokenizer."""
    if window + max_tokens < context:
        return window
    # No token has less than a byte of the template; one more is BOS.
    room = context - max_tokens - len((form.prefix + form.suffix).encode()) - 1
    if room < 1:
        raise RefinerError(
            f"{folder} has a context of {context} tokens: too little for the template and {max_tokens} of output"
        )
    _log.warning("%s has a context of %d tokens: the window is %d and not %d", folder, context, room, window)
    return room


def _system(folder: Path, name: str | None, template_name: str, stage: Stage, numbering: Numbering) -> str | None:
    """The instruction in the file of this name."""
    chosen = template(template_name)
    if not chosen.system:
        return None
    if stage == "document":
        raise RefinerError(f"template {template_name} is for the chunk stage: its models do not decide about documents")
    if numbering != "document":
        raise RefinerError(
            f"{folder}: the template {template_name} numbers lines through the document, not {numbering!r}"
        )
    if name is None or Path(name).name != name:
        raise RefinerError(
            f"{folder}: the template {template_name} needs the instruction that the model was trained with; save it in the "
            'folder as system.txt and set "system": "system.txt" under "chunk" in refiner.json (docs/refiners.md)'
        )
    try:
        return (folder / name).read_text(encoding="utf-8").strip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise RefinerError(f"{folder / name} cannot be read: {error}") from None


_OTHERS = {
    "ultrax": "is an UltraX refiner: its folder needs a refiner.json with the template ultrax/2",
    "dataorchestra": "writes DataOrchestra's plans, which need models that rewrite text: it cannot be run as a refiner",
    "mineru": "labels the elements of HTML pages, not lines of text: run it before ingest",
}
"""Models of other makers, by a part of their names, and what they are: a released ProX refiner is none of them."""


def _refuse_others(folder: Path, settings: ModelSettings) -> None:
    name = f"{Path(settings.model).name} {folder.name}".lower().replace("-", "").replace("_", "")
    for part, said in _OTHERS.items():
        if part in name:
            raise RefinerError(f"{settings.model} {said} (docs/refiners.md)")


def _read(folder: Folder, stage: Stage) -> tuple[str | None, int, _StageFile]:
    """Name, context and stage settings: of ``refiner.json``, else of the released refiners."""
    file = folder.path / "refiner.json"
    if not file.is_file():
        return None, _released_context(folder), _RELEASED[stage]
    try:
        read = _RefinerFile.model_validate(read_json(file))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise RefinerError(f"{file}: {problems}") from None
    own = read.document if stage == "document" else read.chunk
    if own is None:
        raise RefinerError(f"{file} is not a refiner for the {stage} stage: it has no {stage!r}")
    return read.name, read.context, own


def _released_context(folder: Folder) -> int:
    """The context of a folder without ``refiner.json``: what ``config.json`` itself says under the name that released refiners
    have, else at most theirs. Programs that stores hold were asked for with it.
    """
    found, said = folder.context().value, folder.config.get("max_position_embeddings")
    return int(said) if isinstance(said, int | float) else min(int(found), _RELEASED_CONTEXT)


def _label(folder: Folder, name: str) -> int:
    """The number of a token classifier's class."""
    names = folder.config.get("id2label")
    numbers = {str(value): key for key, value in names.items()} if isinstance(names, dict) else {}
    if not str(numbers.get(name, "")).isdecimal():
        known = ", ".join(numbers) or "none"
        raise RefinerError(
            f"{folder.path}: refiner.json sets the label {name!r}, but id2label in config.json has {known}"
        )
    return int(numbers[name])


def _sources(folder: Path, settings: ModelSettings) -> tuple[tuple[str, str], ...]:
    if isinstance(settings, OpenaiSettings):
        # The weights that answer are the endpoint's, whatever else is in the folder.
        return (*folder_digests(folder, weights=False), ("model", settings.model), ("prompt", settings.prompt))
    return folder_digests(folder)


def _options(settings: ModelSettings, own: _StageFile) -> tuple[tuple[str, str], ...]:
    """Engine options that change what a model answers, by name, each value as canonical JSON."""
    chosen = answering_options(settings.options) if isinstance(settings, VllmSettings) else {}
    if isinstance(settings, OnnxSettings):
        precision = settings.precision or ("int8" if own.int8 else "float32")
        # Single precision is what every engine computes where the hardware has nothing faster.
        chosen = {} if precision == "float32" else {"precision": precision}
    return tuple(
        (name, json.dumps(value, sort_keys=True, separators=(",", ":"))) for name, value in sorted(chosen.items())
    )


def folder_digests(folder: Path, *, weights: bool = True) -> tuple[tuple[str, str], ...]:
    """(name, sha256) of the files in a model's folder that change what it answers."""
    # Beside a tokenizer.json they are not read.
    older = () if (folder / "tokenizer.json").is_file() else OLDER
    patterns = (*_DIGESTED, *_DIGESTED_OLD, *older, *([_WEIGHTS] if weights else []))
    files = {file for pattern in patterns for file in folder.glob(pattern) if file.is_file()}
    return tuple((file.name, file_digest(file)) for file in sorted(files))
