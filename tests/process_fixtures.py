"""What is looked for after every test that starts processes."""

from collections.abc import Iterator

import pytest
from processes import orphans, wait_for


@pytest.fixture(autouse=True)
def no_orphans() -> Iterator[None]:
    """After the test no engine lives whose owner is gone."""
    yield
    wait_for(lambda: not orphans(), "engines go with their owners")
