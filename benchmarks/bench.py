"""Run the benchmarks of floors.toml and say what fell: exit code 1 where a figure is below its floor or above its ceiling.

Without arguments the quick ones; ``--all`` runs the others, too, and names of scripts run those of them. A script that fails
counts as fallen; one that says that the measurement data is missing is skipped.
"""

import argparse
import json
import os
import subprocess
import sys
import tomllib
from itertools import groupby
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
FLOORS = ROOT / "floors.toml"
_NO_DATA = "is not beside this checkout"


def figures() -> list[dict[str, Any]]:
    """The entries of floors.toml."""
    found: list[dict[str, Any]] = tomllib.loads(FLOORS.read_text(encoding="utf-8"))["figure"]
    return found


def judge(figure: dict[str, Any], value: float) -> str:
    """``fell``, ``passed``, or ``at its aim``."""
    least = "floor" in figure
    if value < figure["floor"] if least else value > figure["ceiling"]:
        return "fell"
    return "at its aim" if (value >= figure["aim"] if least else value <= figure["aim"]) else "passed"


def run(script: str, arguments: list[str]) -> dict[str, Any] | str:
    """The result of a script, or why there is none."""
    command = [sys.executable, str(ROOT / script), *arguments, "--output", "json"]
    env = {**os.environ, "PYTHONPATH": str(ROOT.parent)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return lines[-1] if lines else f"exit code {done.returncode}"
    # Some scripts print parts of their result as they go: it begins at the last line that is a brace alone.
    found: dict[str, Any] = json.loads(done.stdout[("\n" + done.stdout).rindex("\n{\n") :])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scripts", nargs="*", help="as rules.py; default: the quick ones")
    parser.add_argument("--all", action="store_true", help="also those that take many minutes")
    options = parser.parse_args()
    entries = figures()
    if unknown := set(options.scripts) - {entry["script"] for entry in entries}:
        parser.error(f"no figure of {', '.join(sorted(unknown))} in {FLOORS.name}")
    if options.scripts:
        entries = [entry for entry in entries if entry["script"] in options.scripts]
    elif not options.all:
        entries = [entry for entry in entries if entry["quick"]]
    fell = 0
    for (script, arguments), group in groupby(entries, lambda entry: (entry["script"], entry.get("arguments", []))):
        result = run(script, arguments)
        for entry in group:
            limit = f"floor {entry['floor']:,}" if "floor" in entry else f"ceiling {entry['ceiling']:,}"
            if isinstance(result, str):
                outcome, shown = ("skipped" if _NO_DATA in result else "fell"), result
            else:
                value = float(result[entry["key"]])
                outcome, shown = judge(entry, value), f"{value:,.3f}"
            fell += outcome == "fell"
            print(f"{outcome:>10}  {script} {entry['key']}: {shown} ({limit}, aim {entry['aim']:,})", flush=True)
    sys.exit(1 if fell else 0)


if __name__ == "__main__":
    main()
