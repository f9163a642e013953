"""Build the last commit's sdist and wheel in ``dist`` and check them: ``python scripts/package.py [--tag v1.2.3]``.

The checks are: with a tag, that it names the version and that the changelog has its date; the metadata (twine); that the sdist
builds the same wheel as the commit; that the only large files of the sdist are weights; and that the wheel works in an
environment with only its dependencies. Nothing is uploaded. The size and SHA-256 of both files, and of the weights in
them, are printed.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = "model.safetensors"
LARGE = 1_000_000
"""Size in bytes above which a file of the sdist must contain weights."""
HEADING = re.compile(r"^## \[(?P<version>[\d.]+)\] - (?P<date>\d{4}-\d\d-\d\d|unreleased)$", re.MULTILINE)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tag", help="Tag of the release, v and the version.")
    tag = parser.parse_args(arguments).tag
    try:
        if tag:
            check_tag(tag, version_of(ROOT), (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
        with tempfile.TemporaryDirectory() as folder:
            sdist, wheel = build(Path(folder))
            check(sdist, wheel)
            install(wheel, Path(folder))
            shutil.rmtree(ROOT / "dist", ignore_errors=True)
            shutil.copytree(sdist.parent, ROOT / "dist")
    except ValueError as error:
        print(f"package: {error}", file=sys.stderr)
        return 1
    return 0


def version_of(source: Path) -> str:
    text = (source / "prox_spark" / "__init__.py").read_text(encoding="utf-8")
    return re.findall(r'^__version__ = "(.+)"$', text, flags=re.MULTILINE)[0]


def check_tag(tag: str, version: str, changelog: str) -> None:
    """Raises ``ValueError`` if the tag is not this version's, or its version is not the changelog's newest entry with a date."""
    if tag != f"v{version}":
        raise ValueError(f"tag {tag} is not v{version}, the version in prox_spark/__init__.py: change one of them")
    newest = HEADING.search(changelog)
    if newest is None or newest["version"] != version or newest["date"] == "unreleased":
        raise ValueError(
            f"CHANGELOG.md must begin with [{version}] and the day of its release: write it there, then tag"
        )


def build(folder: Path) -> tuple[Path, Path]:
    """The sdist and wheel of the last commit, in ``folder/dist``; the wheel is built from the sdist.

    Raises ``ValueError`` if the commit itself builds a different wheel.
    """
    source, dist = folder / "source", folder / "dist"
    archive = subprocess.run(
        ["git", "-c", "tar.umask=022", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True
    )
    source.mkdir()
    subprocess.run(["tar", "-x", "-C", str(source)], input=archive.stdout, check=True)
    (sdist,) = _uv_build(source, dist, "--sdist", "*.tar.gz")
    with tarfile.open(sdist) as packed:
        packed.extractall(folder / "unpacked", filter="data")
    (wheel,) = _uv_build(folder / "unpacked" / sdist.name.removesuffix(".tar.gz"), dist, "--wheel", "*.whl")
    (direct,) = _uv_build(source, folder / "direct", "--wheel", "*.whl")
    differing = sorted({name for name, _ in contents(wheel).items() ^ contents(direct).items()})
    if differing:
        raise ValueError(f"the sdist builds another wheel than the commit; these files differ: {', '.join(differing)}")
    return sdist, wheel


def _uv_build(source: Path, out: Path, kind: str, pattern: str) -> list[Path]:
    time = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, check=True, capture_output=True, text=True)
    # Files in a wheel have the commit's time: the same commit makes the same wheel, byte for byte.
    own = os.environ | {"SOURCE_DATE_EPOCH": time.stdout.strip()}
    # The build tools are those of constraints.txt.
    uv = [_tool("uv"), "build", "--quiet", kind, "--no-build-isolation", "--python", sys.executable]
    subprocess.run([*uv, "--out-dir", str(out), str(source)], check=True, env=own)
    (out / ".gitignore").unlink(missing_ok=True)
    return list(out.glob(pattern))


def contents(wheel: Path) -> dict[str, str]:
    """Each file of a wheel, with its SHA-256."""
    with zipfile.ZipFile(wheel) as packed:
        return {name: hashlib.sha256(packed.read(name)).hexdigest() for name in packed.namelist()}


def check(sdist: Path, wheel: Path) -> None:
    """Check both files' metadata and the sizes in the sdist, and print their sizes and hashes. Raises ``ValueError``."""
    done = subprocess.run(
        [_tool("twine"), "--no-color", "check", "--strict", str(sdist), str(wheel)], capture_output=True, text=True
    )
    if done.returncode != 0:
        raise ValueError(f"twine refuses the metadata:\n{done.stdout}{done.stderr}")
    for file in (sdist, wheel):
        print(f"{file.name}: {file.stat().st_size:,} bytes, sha256 {hashlib.sha256(file.read_bytes()).hexdigest()}")
    check_sizes(sdist)


def check_sizes(sdist: Path) -> None:
    """Print the sdist's weights. Raises ``ValueError`` if another file is large."""
    with tarfile.open(sdist) as packed:
        for member in packed:
            if member.name.endswith(f"/{WEIGHTS}"):
                data = packed.extractfile(member)
                assert data is not None
                name = member.name.partition("/")[2]
                print(f"  weights {name}: {member.size:,} bytes, sha256 {hashlib.sha256(data.read()).hexdigest()}")
            elif member.size > LARGE:
                raise ValueError(
                    f"the sdist has {member.name} of {member.size:,} bytes: only weights ({WEIGHTS}) may be larger than "
                    f"{LARGE:,}; leave it out, or compress it"
                )


def install(wheel: Path, folder: Path) -> None:
    """Install the wheel and its dependencies, without extras, in a new environment, and run it in an empty folder."""
    venv.create(folder / "venv", symlinks=True)
    (folder / "empty").mkdir()
    python = folder / "venv" / "bin" / "python"
    constraints = ["--constraint", str(ROOT / "constraints.txt")]
    subprocess.run(
        [_tool("uv"), "pip", "install", "--quiet", "--python", str(python), *constraints, str(wheel)], check=True
    )
    own = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    for verb in ("--version", "presets"):
        command = [str(python.with_name("prox-spark")), verb]
        done = subprocess.run(command, cwd=folder / "empty", env=own, capture_output=True, text=True)
        if done.returncode != 0:
            raise ValueError(f"the installed wheel cannot run prox-spark {verb}:\n{done.stderr}")
    print(f"{wheel.name}: works in an environment with its dependencies alone")


def _tool(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
