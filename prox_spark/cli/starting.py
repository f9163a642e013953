"""The verb ``init``: writes a configuration for existing files."""

import re
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
import yaml

from prox_spark.atomic import whole_file
from prox_spark.cli.options import OutputOption
from prox_spark.cli.output import write_facts, write_json, write_line
from prox_spark.config.load import PRESETS
from prox_spark.corpora.guess import Guess, guess
from prox_spark.errors import UsageError

_INPUT = re.compile(r"^input:\n(?:[ ].*\n)+", re.MULTILINE)


def init(
    path: Annotated[str, typer.Argument(metavar="INPUT", help="File, folder or glob of the corpus.")],
    output_file: Annotated[Path, typer.Option("--output-file", help="Configuration to write.")] = Path("prox.yaml"),
    preset: Annotated[str, typer.Option("--preset", help="Preset to start from (see `presets`).")] = "local",
    yes: Annotated[bool, typer.Option("--yes", help="Write without asking.")] = False,
    output: OutputOption = "text",
) -> None:
    """Look at the first file of a corpus, and write a commented configuration for it."""
    if output_file.exists():
        raise UsageError(f"{output_file} exists: name another file with --output-file, or move this one away")
    found = guess(path)
    text = _configuration(preset, path, found)
    if output == "text":
        write_facts(
            {
                "files": f"{found.files:,} ({found.bytes:,} bytes)",
                "looked at": found.file,
                "format": found.format,
                **{f"input.columns.{ours}": theirs for ours, theirs in found.mapped.items()},
            }
        )
        others = [name for name in found.fields if name not in found.mapped.values()]
        if others:
            write_line(f"into the metadata: {', '.join(others)}")
        if not yes and sys.stdin.isatty() and not typer.confirm(f"Write {output_file}?", default=True):
            raise typer.Exit(1)
    with whole_file(output_file) as file:
        file.write_text(text, encoding="utf-8")
    if output == "json":
        write_json({"configuration": str(output_file), **asdict(found)})
    else:
        write_line(f"wrote {output_file}; next: prox-spark refine --config {shlex.quote(str(output_file))}")


def _configuration(preset: str, path: str, found: Guess) -> str:
    """The preset's text with this corpus instead of the preset's."""
    text = PRESETS.read(preset)
    if not _INPUT.search(text):
        raise UsageError(f"preset {preset} reads no corpus: choose one for `refine` (prox-spark presets)")
    lines = [
        "input:",
        f"  # files: {found.files:,}; bytes: {found.bytes:,}",
        f"  path: {_scalar(path)}",
        f"  format: {found.format}",
    ]
    if found.columns:
        lines.append("  columns:  # prox_spark's column: the corpus's column")
        lines += [f"    {ours}: {_scalar(theirs)}" for ours, theirs in found.columns.items()]
    return _INPUT.sub(lambda _: "\n".join(lines) + "\n", text)


def _scalar(text: str) -> str:
    """A string in YAML, on one line."""
    return yaml.safe_dump(text, default_style='"', width=1_000_000, allow_unicode=True).strip()
