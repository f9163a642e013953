"""The wheel of this checkout, built from a copy: nothing is left in the checkout, and nothing old in it gets in."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = str(Path(sys.executable).with_name("uv"))


def build_wheel(folder: Path, version: str | None = None) -> Path:
    """Build it into ``folder``, with another ``version`` where one is given; the wheel's path."""
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "prox_spark", source / "prox_spark", ignore=shutil.ignore_patterns("__pycache__"))
    if version is not None:
        file = source / "prox_spark" / "__init__.py"
        file.write_text(file.read_text().replace('__version__ = "', f'__version__ = "{version}"  # "'))
    uv = [UV, "build", "--quiet", "--wheel", "--no-build-isolation", "--offline", "--python", sys.executable]
    subprocess.run([*uv, "--out-dir", str(folder), str(source)], check=True, timeout=300)
    shutil.rmtree(source)
    (built,) = folder.glob("prox_spark-*.whl")
    return built
