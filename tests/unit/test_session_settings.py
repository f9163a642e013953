"""Session settings: set for a block, and refused in one line, before any write, where a platform lets no session have them."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from pyspark.errors import AnalysisException

from prox_spark.doctor import examine
from prox_spark.errors import StoreError
from prox_spark.tables.purpose import (
    ERASING,
    TRANSACTION,
    USER_METADATA,
    Purpose,
    check_transactions,
    labelled,
    session_settings,
)

EXAMINE: Any = sys.modules[examine.__module__]


class Conf:
    """A session's settings, where Spark refuses some."""

    def __init__(self, *refused: str, why: str = "[CONFIG_NOT_AVAILABLE] Configuration {} is not available.") -> None:
        self.refused, self.why = refused, why
        self.now: dict[str, str] = {}
        self.seen: set[str] = set()

    def set(self, key: str, value: str) -> None:
        if key in self.refused:
            raise AnalysisException(self.why.format(key))
        self.now[key] = value
        self.seen.add(key)

    def unset(self, key: str) -> None:
        del self.now[key]


def session(*refused: str, **how: Any) -> Any:
    return SimpleNamespace(conf=Conf(*refused, **how))


def test_a_session_has_settings_for_a_block_whatever_happens_in_it() -> None:
    spark = session()

    def fail() -> None:
        with session_settings(spark, {"a": "1", "b": "2"}):
            assert spark.conf.now == {"a": "1", "b": "2"}
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert spark.conf.now == {}


@pytest.mark.parametrize("refused", [*TRANSACTION, *ERASING])
def test_a_refused_setting_is_named_in_one_line_and_leaves_no_other_behind(refused: str) -> None:
    spark = session(refused)
    with pytest.raises(StoreError, match=refused) as raised:
        check_transactions(spark, erase=True)
    assert "\n" not in str(raised.value)
    assert "dedicated access mode" in str(raised.value)
    assert spark.conf.now == {}


def test_only_an_erasure_needs_the_settings_of_vacuum() -> None:
    spark = session(*ERASING)
    check_transactions(spark)
    assert spark.conf.seen == set(TRANSACTION)
    assert spark.conf.now == {}


@pytest.mark.parametrize(("refused", "status"), [((), "ok"), ((USER_METADATA,), "warning")])
def test_doctor_says_what_cannot_run(refused: tuple[str, ...], status: str) -> None:
    check = EXAMINE._settings(session(*refused))
    assert (check.status, bool(check.advice)) == (status, bool(refused))
    assert all(name in check.found for name in refused)


def test_another_fault_stays_what_it_is() -> None:
    spark = session(USER_METADATA, why="[INVALID_CONF_VALUE] {}")
    with pytest.raises(AnalysisException), labelled(spark, Purpose("optimize")):
        raise AssertionError("the block is not run")


@pytest.mark.parametrize("refused", [(), (USER_METADATA,)])
def test_a_label_is_left_out_where_a_session_may_not_set_it(refused: tuple[str, ...]) -> None:
    spark = session(*refused)
    with labelled(spark, Purpose("optimize")):
        assert spark.conf.now.keys() == {USER_METADATA} - set(refused)
    assert spark.conf.now == {}
    with pytest.raises(KeyError), labelled(spark, Purpose("optimize")):
        raise KeyError
