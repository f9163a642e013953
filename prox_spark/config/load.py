"""From a YAML file and ``key.sub=value`` overrides to a checked ``Config``."""

import types
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from prox_spark.config.models import Config
from prox_spark.credentials import hidden
from prox_spark.errors import ConfigError
from prox_spark.library import Library
from prox_spark.suggest import hint

PRESETS = Library("preset", "presets", ".yaml")
"""Configurations that ship with the package; a preset's subfolder is its verb, ``refine`` without a subfolder."""

_SCALARS = {bool: "true or false", int: "a number", float: "a number", date: "a date", datetime: "a time"}
"""Types that YAML gives to some words that were meant as names."""


def load_config(source: str | Path | None, overrides: Sequence[str] = ()) -> Config:
    """Read a configuration and apply ``overrides`` to it.

    ``source`` is the name of a preset (``rules``), the path of a YAML file (one without a slash or the ending ``.yaml`` or
    ``.yml`` only if no preset has that name), or None for overrides alone. Each override is ``key.sub=value``. A string is
    taken literally, whatever characters it has; other values are YAML. Another ``….engine.kind`` removes the settings of
    the old kind.

    Returns the checked ``Config``, which cannot be changed.
    Raises ``ConfigError`` for an unknown preset or key (the nearest known one is shown), a file that cannot be read, or a
    wrong value.

    >>> config = load_config("rules", ["store=my-store", "input.path=pages.json", "input.format=json"])
    >>> config.store, config.refinement, config.chunk.engine.kind
    ('my-store', 'rules', 'rules')
    >>> load_config("rules", ["store=2024", "input.path=a #b/*.jsonl", "input.format=json"]).input.path
    'a #b/*.jsonl'
    >>> load_config(None, ["store=my-store", "chunk.engine.kind=rules"]).document is None
    True
    """
    tree = _read(source) if source is not None else {}
    where = str(source) if source is not None else "the arguments"
    for override in overrides:
        _apply(tree, override)
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        # If a value fits none of several types, the first reason is enough.
        problems = dict(reversed([_explain(item) for item in error.errors()]))
        raise ConfigError(f"{where}: " + "; ".join(reversed(problems.values()))) from None


def _read(source: str | Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(PRESETS.text_of(source))
    except OSError as error:
        raise ConfigError(f"{source}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{source}: is not valid YAML ({_trouble(error)})") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{source}: has no keys; it must be a YAML mapping")
    return tree


def _trouble(error: yaml.YAMLError | ValueError) -> str:
    """What is wrong and where, without the line itself: it may hold a secret."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return " ".join(str(error).split())
    return f"line {mark.line + 1}, column {mark.column + 1}: {getattr(error, 'problem', None) or 'cannot be read'}"


def _apply(tree: dict[str, Any], override: str) -> None:
    """Apply one override to the tree; a new ``….engine.kind`` drops the settings of the old kind."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(
            f"cannot read override {hidden(override)!r}: write key=value, for example chunk.engine.kind=rules"
        )
    (*parents, last), kinds = _find(key)
    value = _value(key, text, kinds)
    node = tree
    for depth, parent in enumerate(parents, start=1):
        if not isinstance(node.get(parent), dict):
            node[parent] = {} if parent in node else _default(parents[:depth])
        node = node[parent]
    if last == "kind" and parents[-1:] == ["engine"] and node.get("kind") != value:
        node.clear()
    node[last] = value


def _find(key: str) -> tuple[list[str], list[Any]]:
    """The names of a key, outermost first, and the types that its value may have; no types for an unknown key."""
    names = key.split(".")
    kinds: list[Any] = [Config]
    for index, name in enumerate(names):
        if dict[str, str] in kinds:
            # Spark's names contain dots: spark.driver.memory.
            return [*names[:index], ".".join(names[index:])], [str]
        models = [model for kind in kinds for model in models_in(kind)]
        kinds = [model.model_fields[name].annotation for model in models if name in model.model_fields]
    return names, kinds


def _default(names: list[str]) -> dict[str, Any]:
    """The default of a key that holds a mapping: an override of one entry keeps the others."""
    models: list[type[BaseModel]] = [Config]
    fields: list[Any] = []
    for name in names:
        fields = [model.model_fields[name] for model in models if name in model.model_fields]
        models = [inner for field in fields for inner in models_in(field.annotation)]
    return dict(next((field.default for field in fields if isinstance(field.default, dict)), {}))


def _value(key: str, text: str, kinds: list[Any]) -> Any:
    """The value of ``text``: literal if a string is expected, unless it is empty, in quotes, or a list or null fits."""
    fitting = {one for kind in kinds for one in _alternatives(kind)}
    is_string = str in fitting and fitting <= {str, list, type(None)}
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):  # a ValueError is a date that no calendar has
        if is_string:
            return text
        raise ConfigError(f"{key}: the value is not valid YAML") from None
    quoted = isinstance(value, str) and text[:1] in ("'", '"') and text[-1] == text[0]
    empty = value is None and (not text.strip() or type(None) in fitting)
    if not is_string or quoted or empty or (isinstance(value, list) and list in fitting):
        return value
    return text


def _alternatives(annotation: Any) -> Iterator[Any]:
    """The types that an annotation allows, without their type arguments."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        for one in inner:
            yield from _alternatives(one)
    elif origin is Annotated:
        yield from _alternatives(inner[0])
    elif origin is Literal:
        yield from map(type, inner)
    else:
        yield origin or annotation


def _explain(error: Any) -> tuple[str, str]:
    """A key, and its problem in one line: what is wrong, and for an unknown key the nearest known one."""
    # pydantic puts the tag of a union's branch into the location; the user did not write it.
    location = [part for part in error["loc"] if not (isinstance(part, str) and ("[" in part or part == "str"))]
    known = _known_keys(location[:-1])
    key = ".".join(str(part) for part in _user_location(location))
    if error["type"] == "extra_forbidden":
        return key, f"unknown key {key!r} ({hint(str(location[-1]), sorted(known))})"
    if error["type"] == "missing":
        return key, f"key {key!r} is missing"
    said = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "string_type" and type(error["input"]) in _SCALARS:
        # The value may be a secret in the wrong place.
        said = f"YAML reads this as {_SCALARS[type(error['input'])]}, not as a string: put it in quotes"
    return key, f"{key}: {said}" if key else said


def _user_location(location: list[Any]) -> list[Any]:
    """The location as the user wrote it: without the tags of an engine's kind."""
    out: list[Any] = []
    for index, part in enumerate(location):
        if index and location[index - 1] == "engine" and part in engine_kinds():
            continue
        out.append(part)
    return out


def engine_kinds() -> dict[str, type[BaseModel]]:
    """The settings model of each kind of engine."""
    models = models_in(Config.model_fields["chunk"].annotation)
    engine = next(model for model in models if "engine" in model.model_fields).model_fields["engine"]
    return {get_args(model.model_fields["kind"].annotation)[0]: model for model in models_in(engine.annotation)}


def _known_keys(location: list[Any]) -> list[str]:
    """Names of the keys that are allowed at ``location``."""
    model: type[BaseModel] = Config
    for index, part in enumerate(location):
        if index and location[index - 1] == "engine" and part in engine_kinds():
            model = engine_kinds()[part]
            continue
        field = model.model_fields.get(str(part))
        inner = models_in(field.annotation) if field else []
        if not inner:
            return []
        model = inner[0]
    return list(model.model_fields)


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Pydantic models inside an annotation such as ``A | None`` or a tagged union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if hasattr(annotation, "__value__"):
        return models_in(annotation.__value__)
    if get_origin(annotation) in (Union, types.UnionType) or get_args(annotation):
        return [model for arg in get_args(annotation) for model in models_in(arg)]
    return []
