"""One Spark Connect server for all tests here, and the Spark session that reads what was written elsewhere."""

from collections.abc import Iterator

import pytest
from cluster_processes import ENDPOINT_KEY, connect_server
from process_fixtures import no_orphans
from spark_fixtures import spark

__all__ = ["connect", "no_orphans", "spark"]


@pytest.fixture(scope="session")
def connect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Spark Connect server whose tasks find ``ENDPOINT_KEY`` in ENDPOINT_TOKEN."""
    with connect_server(tmp_path_factory.mktemp("connect"), ENDPOINT_TOKEN=ENDPOINT_KEY) as url:
        yield url
