"""Write docs/configuration.md from the docstrings of the settings: ``python scripts/document_configuration.py``."""

import inspect
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from prox_spark.config.load import PRESETS, engine_kinds, models_in
from prox_spark.config.models import Config
from prox_spark.corpora.extraction import EXTRACTORS
from prox_spark.corpora.formats import CONTAINERS, FORMATS

HEAD = """# Configuration

The configuration is a YAML file with these keys. On the command line, override a key after `--config` with `key.sub=value`. A
string is taken as it is, so that a path may be `2024`, `*.jsonl` or `a #b`; other values are YAML, and so are a string in quotes,
`null`, and a list where the key takes one. Unknown keys are refused. Overriding `….engine.kind` drops the settings of the old
kind.
`scripts/document_configuration.py` generates this page from the docstrings.

## Presets

`--config NAME` and `prox_spark.load_config("NAME")` read a preset: a configuration that ships with the package. A value with a
slash, or ending in `.yaml` or `.yml`, is the path of a file; so is any other that no preset has as its name, if there is such a
file. `prox-spark presets` lists the presets; `prox-spark presets NAME` prints one, to start a file from. The files of `conf/` in
the repository are links to the presets: copy one with `cp -L`, or use the preset's name.

"""


def presets() -> list[str]:
    found = [f"| `{name}` | {PRESETS.group(name) or 'refine'} | {PRESETS.about(name)} |" for name in PRESETS.names()]
    return ["| preset | verb | what it does |", "|---|---|---|", *found]


def rows(model: type[BaseModel], prefix: str) -> list[str]:
    out: list[str] = []
    for name, field in model.model_fields.items():
        inner = models_in(field.annotation)
        if name != "engine":
            default = "required" if field.is_required() else f"`{_plain(field.get_default(call_default_factory=True))}`"
            if not inner:
                out.append(f"| `{prefix}{name}` | {default} | {' '.join(_text(field.description).split())} |")
            elif field.description:
                out.append(f"| `{prefix}{name}` | null | {' '.join(_text(field.description).split())} |")
        if inner and name != "engine":
            out += rows(inner[0], f"{prefix}{name}.")
    return out


def _plain(value: Any) -> str:
    return json.dumps(value, default=str)


def _text(text: str | None) -> str:
    return inspect.cleandoc(text or "").replace("``", "`")


def formats() -> str:
    lines = [
        "\n## `input.format`\n",
        "Columns named here are read into prox_spark's columns, all others into `metadata`. A record without an id gets a hash\n"
        "as its id.\n",
        "| format | what | read as | text | id | url | source |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in FORMATS.values():
        columns = (" or ".join(f"`{name}`" for name in names) for names in (one.text, one.doc_id, one.url, one.source))
        lines.append(f"| `{one.name}` | {one.about} | {CONTAINERS[one.container]} | {' | '.join(columns)} |")
    return "\n".join(lines)


def extractors() -> str:
    lines = ["\n## `input.extract`\n", "| extractor | what is kept of a page | library |", "|---|---|---|"]
    for name, one in EXTRACTORS.items():
        extra = f" (the extra `{one.extra}`)" if one.extra else ""
        lines.append(f"| `{name}` | {one.about} | {one.library}{extra} |")
    return "\n".join(lines)


def document() -> str:
    table = ["| key | default | meaning |", "|---|---|---|"]
    parts = [HEAD + "\n".join(presets()), "\n## Keys\n", "\n".join(table + rows(Config, "")), formats(), extractors()]
    for kind, model in engine_kinds().items():
        parts.append(f"\n## `engine.kind: {kind}`\n\n{_text(model.__doc__)}\n")
        parts.append("\n".join(table + [row for row in rows(model, "engine.") if "engine.kind`" not in row]))
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    (Path(__file__).parent.parent / "docs" / "configuration.md").write_text(document(), encoding="utf-8")
