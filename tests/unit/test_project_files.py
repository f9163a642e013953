"""The files of the project itself: what its workflows run exists, and what its pages name is there.

`make lint` checks them against their schemas. One test is slow: it builds the sdist, and the wheel twice.
"""

import io
import re
import runpy
import tarfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import prox_spark
from prox_spark.schemas import STORE_VERSION
from prox_spark.suggest import either
from prox_spark.supported import JAVA, PYTHON, SPARKS

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github").glob("workflows/*.yml"))
ACTIONS = sorted((ROOT / ".github").glob("actions/*/action.yml"))
PAGES = [
    ROOT / name
    for name in (
        *("CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "SECURITY.md", "docs/stability.md"),
        ".github/PULL_REQUEST_TEMPLATE.md",
    )
]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
KINDS_OF_CHANGE = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
package: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "package.py"))


def steps(file: Path) -> Iterator[dict[str, Any]]:
    found = yaml.safe_load(file.read_text(encoding="utf-8"))
    for job in found.get("jobs", {"": found.get("runs")}).values():
        yield from job["steps"]


def jobs(name: str) -> dict[str, Any]:
    found = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text(encoding="utf-8"))["jobs"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("file", [*WORKFLOWS, *ACTIONS], ids=lambda file: file.name)
def test_every_step_runs_what_is_there(file: Path) -> None:
    for step in steps(file):
        used, command = step.get("uses", ""), step.get("run", "")
        if used.startswith("./"):
            assert (ROOT / used / "action.yml").is_file()
        elif used:
            assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", used), f"{used}: pin it by its commit"
        assert set(re.findall(r"\bmake ([a-z-]+)", command)) <= TARGETS
        assert all((ROOT / script).is_file() for script in re.findall(r"\bbash (\S+)", command))


def test_workflows_run_what_ci_runs_and_a_lane_for_each_spark() -> None:
    checks, spark = jobs("ci.yml")["checks"], jobs("ci.yml")["spark"]
    assert "bash .ci/run" in [step.get("run") for step in checks["steps"]]
    matrix = checks["strategy"]["matrix"]["include"]
    assert tuple(one["python"] for one in matrix) == PYTHON
    assert {one["java"] for one in matrix} == set(map(str, JAVA))
    lanes = {file.stem.removeprefix("spark-") for file in (ROOT / "constraints").glob("spark-*.txt")}
    assert set(spark["strategy"]["matrix"]["spark"]) == lanes
    assert lanes < set(SPARKS)


def test_only_the_draft_of_a_release_may_write() -> None:
    for file in WORKFLOWS:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
        assert found["permissions"] == {"contents": "read"}
        writing = {name for name, job in found["jobs"].items() if "permissions" in job}
        assert writing == ({"draft"} if file.name == "release.yml" else set())
        # What others can name comes into a shell as a variable.
        assert not any("${{ github" in step.get("run", "") for step in steps(file))


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_what_a_page_names_is_there(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    spans = re.findall(r"`([^`\n]+)`", text)
    for path in (
        path for span in spans for path in span.split() if re.fullmatch(r"[\w.-]+(/[\w.-]+)+|\w+\.(py|toml)", path)
    ):
        assert path.startswith((".venv/bin", "dist/")) or (ROOT / path).exists(), path
    assert set(re.findall(r"\bmake ([a-z-]+)", " ".join(spans))) <= TARGETS
    for name, source in re.findall(r"`(\w+)`\s+in\s+`(prox_spark/[\w/]+\.py)`", text):
        assert re.search(rf"^{name}\b", (ROOT / source).read_text(encoding="utf-8"), flags=re.MULTILINE), (name, source)


def test_the_set_up_names_the_supported_versions() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert f"Python {either(PYTHON)}, Java {either(JAVA)}" in text
    lanes = sorted(set(SPARKS) - {"4.1"})
    assert f"with {either(lanes)}" in text


def test_the_changelog_begins_with_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    found = package["HEADING"].findall(text)
    assert len(found) == len(re.findall(r"^## ", text, flags=re.MULTILINE))
    assert found[0][0] == prox_spark.__version__
    assert all(date != "unreleased" for _, date in found[1:])
    versions = [tuple(map(int, version.split("."))) for version, _ in found]
    assert versions == sorted(set(versions), reverse=True)
    assert f"Stores get layout {STORE_VERSION}." in text
    assert set(re.findall(r"^### (.+)$", text, flags=re.MULTILINE)) <= KINDS_OF_CHANGE


def test_the_citation_is_of_this_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (cited["version"], cited["license"]) == (prox_spark.__version__, project["license"])
    assert cited["authors"] == project["authors"]
    assert cited["references"][0]["url"] == project["urls"]["Paper"]


@pytest.mark.parametrize(
    ("tag", "heading", "refused"),
    [
        ("v1.2.3", "## [1.2.3] - 2026-12-01", ""),
        ("v1.2.4", "## [1.2.3] - 2026-12-01", "tag v1.2.4 is not v1.2.3"),
        ("v1.2.3", "## [1.2.3] - unreleased", "the day of its release"),
        ("v1.2.3", "## [1.2.2] - 2026-12-01", r"must begin with \[1\.2\.3\]"),
        ("v1.2.3", "", r"must begin with \[1\.2\.3\]"),
    ],
)
def test_a_tag_names_the_version_and_the_changelog_has_its_day(tag: str, heading: str, refused: str) -> None:
    check_tag = package["check_tag"]
    if not refused:
        check_tag(tag, "1.2.3", f"# Changelog\n\n{heading}\n")
        return
    with pytest.raises(ValueError, match=refused):
        check_tag(tag, "1.2.3", f"# Changelog\n\n{heading}\n")


def test_only_weights_may_be_large_in_an_sdist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def sdist(name: str) -> Path:
        file = tmp_path / "x.tar.gz"
        with tarfile.open(file, "w:gz") as packed:
            member = tarfile.TarInfo(f"prox_spark-1/prox_spark/refiners/x/{name}")
            member.size = 1_000_001
            packed.addfile(member, io.BytesIO(bytes(member.size)))
        return file

    package["check_sizes"](sdist("model.safetensors"))
    assert "weights prox_spark/refiners/x/model.safetensors: 1,000,001 bytes, sha256 " in capsys.readouterr().out
    with pytest.raises(ValueError, match="only weights"):
        package["check_sizes"](sdist("tokenizer.json"))


@pytest.mark.slow
def test_the_sdist_builds_the_wheel_of_the_commit_and_its_metadata_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("builds the last commit, and this is no checkout of git")
    sdist, wheel = package["build"](tmp_path)
    package["check"](sdist, wheel)
    weights = re.findall(r"weights (\S+): ", capsys.readouterr().out)
    found = (ROOT / "prox_spark" / "refiners").glob("*/model.safetensors")
    assert sorted(weights) == sorted(str(file.relative_to(ROOT)) for file in found)
    with tarfile.open(sdist) as packed:
        outside = {name.partition("/")[2] for name in packed.getnames() if "/prox_spark" not in name}
    assert {"CHANGELOG.md", "CITATION.cff", "LICENSE", "README.md", "pyproject.toml"} <= outside
