"""A refiner: everything that decides what is asked and how it is answered, and the fingerprint over it.

A model folder may have a ``refiner.json``::

    {"name": "…", "context": 2048,
     "document": {"template": "lines/1", "window": 2000, "decision": ["keep", "drop"]},
     "chunk": {"template": "lines/1", "window": 1500, "max_tokens": 256, "numbering": "document", "grammar": false}}

A stage with a ``label`` is a token classifier, which writes no program: the probability of that label (a name in
``config.json``'s ``id2label``) is read at the last token of each line, or at the first token of a document.
A folder without ``refiner.json`` is taken for a released ProX refiner.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from prox_spark.config.engines import (
    ColumnSettings,
    EngineSettings,
    ModelSettings,
    OpenaiSettings,
    RandomSettings,
    RulesSettings,
    ScriptedSettings,
    SelectionSettings,
    StatisticsSettings,
)
from prox_spark.engines.models import local_folder, refiner_folder
from prox_spark.errors import RefinerError
from prox_spark.generation.templates import template
from prox_spark.programs.grammar import DOCUMENT_EBNF, EBNF
from prox_spark.rules.catalogue import VERSION as RULES_VERSION
from prox_spark.rules.catalogue import select_rules
from prox_spark.section import Section
from prox_spark.statistics.scorer import FILE as STATISTICS_FILE
from prox_spark.statistics.scorer import load_scorer
from prox_spark.statistics.text import VERSION as STATISTICS_VERSION

Stage = Literal["document", "chunk"]
Numbering = Literal["document", "chunk", "none"]

_DIGESTED = ("config.json", "generation_config.json", "tokenizer*", "special_tokens_map.json")
_DIGESTED_OLD = ("vocab.json", "merges.txt", "added_tokens.json")
_WEIGHTS = "*.safetensors"


@dataclass(frozen=True, slots=True)
class Refiner:
    """What writes a stage's programs.

    ``sources`` are (name, sha256) of the files or answers that it consists of; rules have their version there, engines
    without files their settings, and a model at an endpoint its name in place of its weights. ``window`` is the number of
    tokens of a chunk (document stage: of a document, which is cut there); 0 where nothing is counted. ``decision`` are the
    two words whose first tokens' probabilities decide (keep, drop); without them a program is generated, of at most
    ``max_tokens`` tokens, held to ``grammar`` (EBNF) where there is one. ``label`` is the class that a token classifier is
    asked for, in place of all that. ``numbering`` says whether line labels count through the document or from each chunk's
    first line, or whether there are none.
    """

    stage: Stage
    name: str
    kind: Literal["rules", "statistics", "dsir", "random", "column", "scripted", "model"]
    sources: tuple[tuple[str, str], ...]
    revision: str | None = None
    template: str | None = None
    numbering: Numbering = "document"
    window: int = 0
    context: int = 0
    max_tokens: int = 0
    decision: tuple[str, str] | None = None
    label: int | None = None
    grammar: str | None = None
    rules: tuple[str, ...] = ()
    lines_per_chunk: int | None = None


def fingerprint(refiner: Refiner) -> str:
    """sha256 (hex) over all that changes a refiner's answers: everything but its name; the template by its text."""
    parts = asdict(refiner)
    del parts["name"]
    parts["template"] = template(refiner.template).text() if refiner.template else None
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


class _StageFile(Section):
    template: str
    window: Annotated[int, Field(gt=0)]
    max_tokens: Annotated[int, Field(ge=0)] = 1
    numbering: Numbering = "document"
    decision: tuple[str, str] | None = None
    label: str | None = None
    grammar: bool = False


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


def load_refiner(
    stage: Stage,
    engine: EngineSettings,
    *,
    template_name: str | None = None,
    window: int | None = None,
    max_tokens: int | None = None,
    grammar: bool | None = None,
) -> Refiner:
    """The refiner of an engine's settings; what is given takes the place of the refiner's own value.

    Reads (and digests) the model's files. Raises ``RefinerError``; ``ConfigError`` for rules of the other stage.
    """
    if isinstance(engine, RulesSettings):
        rules = select_rules(stage, engine.rules)
        return Refiner(stage, "rules", "rules", (("rules", str(RULES_VERSION)),), rules=rules)
    if isinstance(engine, StatisticsSettings):
        return _statistics(stage, engine)
    if isinstance(engine, SelectionSettings):
        return _selection(stage, engine)
    if isinstance(engine, ScriptedSettings):
        table = json.dumps([engine.answers, engine.default], sort_keys=True).encode()
        sources = (("answers", hashlib.sha256(table).hexdigest()),)
        return Refiner(stage, "scripted", "scripted", sources, lines_per_chunk=engine.lines_per_chunk)
    folder = refiner_folder(engine)
    name, context, own = _read(folder, stage)
    held = own.grammar if grammar is None else grammar
    refiner = Refiner(
        stage=stage,
        name=name or Path(engine.model).name,
        kind="model",
        sources=_sources(folder, engine),
        revision=engine.revision,
        template=template_name or own.template,
        numbering=own.numbering,
        window=window or own.window,
        context=context,
        max_tokens=0 if own.label else max_tokens or own.max_tokens,
        decision=own.decision if stage == "document" else None,
        label=_label(folder, own.label) if own.label else None,
    )
    template(refiner.template or "")
    if refiner.decision is None and refiner.label is None and held:
        refiner = replace(refiner, grammar=DOCUMENT_EBNF if stage == "document" else EBNF)
    return refiner


def _statistics(stage: Stage, engine: StatisticsSettings) -> Refiner:
    if stage != "document":
        raise RefinerError(f"chunk.engine: {engine.model} scores whole documents; it belongs to document.engine")
    folder = local_folder(engine.model)
    load_scorer(folder)
    digest = hashlib.sha256((folder / STATISTICS_FILE).read_bytes()).hexdigest()
    sources = ((STATISTICS_FILE, digest), ("statistics", str(STATISTICS_VERSION)))
    return Refiner("document", folder.name, "statistics", sources)


def _selection(stage: Stage, engine: SelectionSettings) -> Refiner:
    # Compiled code, which only some refiners need.
    from prox_spark.selection.chance import VERSION as CHANCE_VERSION
    from prox_spark.selection.dsir import VERSION as DSIR_VERSION
    from prox_spark.selection.folder import load_dsir

    if stage != "document":
        raise RefinerError(f"chunk.engine: {engine.kind} chooses whole documents; it belongs to document.engine")
    if isinstance(engine, RandomSettings):
        return Refiner("document", "random", "random", (("random", str(CHANCE_VERSION)), ("seed", str(engine.seed))))
    if isinstance(engine, ColumnSettings):
        return Refiner("document", engine.column, "column", (("column", engine.column), ("scale", str(engine.scale))))
    folder = local_folder(engine.model)
    dsir = load_dsir(folder)
    # Not the digest of refiner.json, which holds a name, too.
    fitted = {"short": dsir.short, "min_words": dsir.min_words, "seed": dsir.seed}
    sources = [("dsir", str(DSIR_VERSION)), ("random", str(CHANCE_VERSION))]
    sources += [(name, repr(value)) for name, value in fitted.items()]
    return Refiner("document", folder.name, "dsir", (*_digests(folder), *sources))


def _read(folder: Path, stage: Stage) -> tuple[str | None, int, _StageFile]:
    """Name, context and stage settings: of ``refiner.json``, else of the released refiners."""
    file = folder / "refiner.json"
    if not file.is_file():
        return None, _context(folder), _RELEASED[stage]
    try:
        read = _RefinerFile.model_validate_json(file.read_bytes())
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise RefinerError(f"{file}: {problems}") from None
    own = read.document if stage == "document" else read.chunk
    if own is None:
        raise RefinerError(f"{file} is no refiner for the {stage} stage: it has no {stage!r}")
    return read.name, read.context, own


def _context(folder: Path) -> int:
    try:
        return int(_model_config(folder).get("max_position_embeddings", 2048))
    except (ValueError, TypeError) as error:
        raise RefinerError(f"{folder / 'config.json'}: max_position_embeddings is no number: {error}") from None


def _label(folder: Path, name: str) -> int:
    """The number of a token classifier's class."""
    names = _model_config(folder).get("id2label")
    numbers = {str(value): int(key) for key, value in names.items()} if isinstance(names, dict) else {}
    if name not in numbers:
        known = ", ".join(numbers) or "none"
        raise RefinerError(f"{folder}: refiner.json names the label {name!r}, config.json's id2label has {known}")
    return numbers[name]


def _model_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError) as error:
        raise RefinerError(f"{folder / 'config.json'} cannot be read: {error}") from None
    if not isinstance(config, dict):
        raise RefinerError(f"{folder / 'config.json'} holds no keys")
    return config


def _sources(folder: Path, engine: ModelSettings) -> tuple[tuple[str, str], ...]:
    if isinstance(engine, OpenaiSettings):
        # The weights that answer are the endpoint's, whatever else lies in the folder.
        return (*_digests(folder, weights=False), ("model", engine.model), ("prompt", engine.prompt))
    return _digests(folder)


def _digests(folder: Path, *, weights: bool = True) -> tuple[tuple[str, str], ...]:
    patterns = (*_DIGESTED, *_DIGESTED_OLD, *([_WEIGHTS] if weights else []))
    files = {file for pattern in patterns for file in folder.glob(pattern) if file.is_file()}
    digests = []
    for file in sorted(files):
        with file.open("rb") as opened:
            digests.append((file.name, hashlib.file_digest(opened, "sha256").hexdigest()))
    return tuple(digests)
