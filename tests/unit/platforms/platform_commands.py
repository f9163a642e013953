"""What the tests of all platforms ask of a command: is it one, and would ``prox-spark`` take its arguments?"""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer.main

from prox_spark.cli.options import app
from prox_spark.config import Config, load_config
from prox_spark.library import is_name
from prox_spark.refinement.dry_run import expand

ROOT = Path(__file__).resolve().parents[3]
CLI: Any = typer.main.get_command(app)


def check_verb(arguments: Sequence[str]) -> Config:
    """The configuration that ``prox-spark ARGUMENTS`` would work with, as the verb itself reads it; nothing is run.

    Raises what the verb would end with: an unknown verb, option, key or value, a configuration file that is not there.
    """
    import prox_spark.cli  # noqa: F401 -- its verbs

    verb, *rest = arguments
    assert verb in CLI.commands, f"{verb} is no verb: {sorted(CLI.commands)}"
    assert (ROOT / "jobs" / f"{verb}.py").is_file()
    given = CLI.commands[verb].make_context(verb, list(rest)).params
    overrides = [*(given.get("overrides") or ()), *([f"store={given['store']}"] if given.get("store") else ())]
    source = given.get("config")
    if source and not is_name(source):
        source = ROOT / source
    configs = [load_config(source, chosen) for chosen in (expand(overrides) if given.get("dry_run") else [overrides])]
    return configs[0]


def commands(page: str) -> list[list[str]]:
    """The commands of the ``bash`` blocks of a page of documentation, in words, without comments."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    lines = "\n".join(re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)).replace("\\\n", " ").splitlines()
    # A command whose answer is a variable's value counts as one of its own.
    lines += [inner for line in lines for inner in re.findall(r"\$\((.*?)\)", line)]
    return [words for line in lines if (words := shlex.split(re.sub(r"(^|\s)#.*|\$\(.*?\)", " ", line)))]


def links(page: str) -> list[str]:
    """What a page links to beside the web."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(r"\]\((?!http)([^)#]+)", text)


def options(words: Sequence[str], name: str) -> list[str]:
    """The values of a repeated option, written as ``NAME VALUE`` or ``NAME=VALUE``."""
    after = [words[i + 1] for i, word in enumerate(words[:-1]) if word == name]
    return after + [word.partition("=")[2] for word in words if word.startswith(f"{name}=")]


def properties(text: str) -> dict[str, str]:
    """The properties of a Spark properties file."""
    lines = [line.split(None, 1) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return {key: value.strip() for key, value in lines}


# What lets an executor that is about to lose its node hand its rows on to the others.
SPOT = {
    "spark.decommission.enabled": "true",
    "spark.storage.decommission.enabled": "true",
    "spark.storage.decommission.rddBlocks.enabled": "true",
    "spark.storage.decommission.shuffleBlocks.enabled": "true",
}
