"""Write docs/verbs.md from the help of each verb: ``python scripts/document_verbs.py``."""

import inspect
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer

import prox_spark.cli.main  # noqa: F401 - it registers the verbs
from prox_spark.cli import groups
from prox_spark.cli.options import app

HEAD = """# Verbs

`prox-spark VERB --help` shows the same as this page, which `scripts/document_verbs.py` generates. `spark-submit jobs/VERB.py`
takes the same arguments; `init`, `presets` and `questions` need no Spark and have no job. Options come before overrides
(`key.sub=value`) or after them, in any order; the keys are those of the [configuration](configuration.md).

Exit codes: 0 success, 1 the work failed, 2 wrong arguments or configuration, 130 interrupted by Ctrl-C. `--output json` prints
one JSON document on standard output; the log goes to standard error.
"""


def document() -> str:
    """The page as Markdown."""
    command: Any = typer.main.get_command(app)
    shared = set.intersection(*({one.name for one in verb.params} for verb in command.commands.values()))
    verbs: dict[str, list[Any]] = {}
    for verb in command.commands.values():
        verbs.setdefault(verb.rich_help_panel or groups.OTHER, []).append(verb)
    parts = [HEAD, "Every verb takes:\n", _table([one for one in verb.params if one.name in shared])]
    for heading in (groups.START, groups.REFINE, groups.LOOK, groups.KEEP, groups.MAKE, groups.MEASURE, groups.OTHER):
        if heading in verbs:
            parts.append(f"## {heading}\n")
        for verb in verbs.get(heading, ()):
            parts.append(f"### {verb.name}\n\n{_cell(inspect.cleandoc(verb.help))}\n")
            own = [one for one in verb.params if one.name not in shared]
            parts += [_table(own)] if own else []
    return "\n".join(parts)


def _table(arguments: list[Any]) -> str:
    rows = ["| argument | default | meaning |", "|---|---|---|"]
    for one in sorted(arguments, key=lambda one: one.param_type_name != "argument"):
        name = one.metavar or one.name.upper() if one.param_type_name == "argument" else ", ".join(one.opts)
        rows.append(f"| `{name}` | {_default(one)} | {_cell(_choices(one) + one.help)} |")
    return "\n".join(rows) + "\n"


def _default(one: Any) -> str:
    if one.required:
        return "required"
    return "" if one.default in (None, False, (), []) or callable(one.default) else f"`{one.default}`"


def _choices(one: Any) -> str:
    annotation = one.type_descriptor.annotation
    names = get_args(annotation) if get_origin(annotation) is Literal else ()
    return " or ".join(f"`{name}`" for name in names) + ". " if names and not one.help.startswith(names[0]) else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    (Path(__file__).resolve().parents[1] / "docs" / "verbs.md").write_text(document(), encoding="utf-8")
