"""Fixtures of all tests. Nothing here starts a JVM: tests/spark has its own conftest for that."""

from pathlib import Path

import pytest
from hypothesis import settings

# Hypothesis fails a test case that takes longer than 200 ms unless told: on a busy machine that says nothing.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

ROOT = Path(__file__).resolve().parent.parent


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Number long bytes: a gzip header contains the time, so parallel processes would give the same test different names."""
    return argname if isinstance(val, bytes) and len(val) > 16 else None


@pytest.fixture(scope="session")
def shared() -> Path:
    """The measurement data beside the checkout; tests that need it skip where it is absent."""
    folder = ROOT.parent / "shared"
    if not (folder / "gold").is_dir():
        pytest.skip("the measurement data (../shared) is not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def cases(shared: Path) -> Path:
    """Inputs of corpora that went wrong once, with the right results."""
    folder = shared / "cases" / "corpora"
    if not folder.is_dir():
        pytest.skip("the cases (../shared/cases/corpora) are not beside this checkout")
    return folder
