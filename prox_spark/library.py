"""Text files that ship with the package and are read by name: presets, suites of tasks, questions."""

import os
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from prox_spark.errors import ConfigError
from prox_spark.suggest import unknown


def is_name(source: str | Path) -> bool:
    """Whether this names something that ships with the package; anything else is the path of a file."""
    return isinstance(source, str) and not source.endswith((".yaml", ".yml")) and not {"/", os.sep} & set(source)


@dataclass(frozen=True)
class Library:
    """Files of one kind in a folder of the package and in its subfolders. A file's name is its stem, and unique."""

    noun: str
    folder: str
    suffix: str

    def names(self) -> list[str]:
        """All names in alphabetical order, those of the folder itself before those of its subfolders."""
        return list(self._files())

    def group(self, name: str) -> str:
        """The subfolder with the file; empty for a file in the folder itself."""
        return self._files()[name][0]

    def about(self, name: str) -> str:
        """The comment in the file's first line, without a command at its end."""
        comment = self.read(name).partition("\n")[0].lstrip("#- ")
        return comment.partition(": prox-spark ")[0].removesuffix(".")

    def read(self, name: str) -> str:
        """The text of the file. Raises ``ConfigError`` if there is none."""
        known = self._files()
        if name not in known:
            raise ConfigError(unknown(self.noun, name, known))
        return known[name][1].read_text(encoding="utf-8")

    def text_of(self, source: str | Path) -> str:
        """The text for a user's ``source``: a name, else the path of a file (a file with a known name needs ``./``).

        Raises ``ConfigError`` if there is neither, ``OSError`` for a file that cannot be read.
        """
        if not is_name(source) or (source not in self._files() and Path(source).is_file()):
            return Path(source).expanduser().read_text(encoding="utf-8")
        try:
            return self.read(str(source))
        except ConfigError as error:
            raise ConfigError(f"{error}; give a file as a path, such as ./{source}") from None

    def _files(self) -> dict[str, tuple[str, Traversable]]:
        root = files("prox_spark") / self.folder
        subfolders = sorted((one for one in root.iterdir() if one.is_dir()), key=lambda one: one.name)
        found: dict[str, tuple[str, Traversable]] = {}
        for group, folder in [("", root), *((one.name, one) for one in subfolders)]:
            for file in sorted(folder.iterdir(), key=lambda one: one.name):
                if file.name.endswith(self.suffix):
                    found[file.name.removesuffix(self.suffix)] = (group, file)
        return found
