"""Settings of a local session, without starting one."""

import subprocess
import sys
from pathlib import Path

import pytest

from prox_spark.session import warehouse

MAKE = """
import sys
from pathlib import Path
from prox_spark.session import warehouse
folder = Path(warehouse({})["spark.sql.warehouse.dir"])
if "table" in sys.argv:
    (folder / "t").mkdir()
print(folder)
"""


@pytest.mark.parametrize("words", [[], ["table"]])
def test_the_warehouse_is_a_temporary_folder_that_goes_unless_something_is_in_it(
    tmp_path: Path, words: list[str]
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", MAKE, *words],
        capture_output=True,
        text=True,
        cwd=here,
        env={"TMPDIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
        timeout=120,
        check=True,
    )
    folder = Path(done.stdout.strip())
    assert folder.parent == tmp_path
    assert folder.exists() == bool(words)
    assert not list(here.iterdir())


@pytest.mark.parametrize(
    "settings", [{"spark.sql.warehouse.dir": "/data/warehouse"}, {"spark.sql.catalogImplementation": "hive"}]
)
def test_a_catalog_that_the_user_chose_keeps_its_place(settings: dict[str, str]) -> None:
    assert warehouse(settings) == {}
