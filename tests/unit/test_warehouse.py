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


def test_a_folder_of_settings_is_left_to_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_CONF_DIR", "/etc/spark")
    assert warehouse({}) == {}


def test_a_warehouse_with_tables_in_the_current_folder_stays_the_warehouse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "spark-warehouse").mkdir()
    assert warehouse({})["spark.sql.warehouse.dir"].startswith(str(tmp_path / "elsewhere"))
    (tmp_path / "spark-warehouse" / "schema.db").mkdir()
    assert warehouse({}) == {}
