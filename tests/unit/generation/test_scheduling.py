"""How tasks come to share GPUs, or why they do not: read off the settings of a session and what Spark says of a profile."""

import itertools
import logging
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from py4j.protocol import Py4JError, Py4JJavaError
from pyspark.errors import AnalysisException

from prox_spark.doctor import examine
from prox_spark.generation import scheduling
from prox_spark.generation.scheduling import default_partitions, share_advice, stage_profile, why_not
from prox_spark.session import setting

EXAMINE: Any = sys.modules[examine.__module__]
NUMBERS = itertools.count()


class Settings:
    """As much of a session as is looked at: its settings, and whether it takes a profile."""

    def __init__(self, *, refuses: Exception | None = None, **settings: str) -> None:
        self.conf = self
        self.settings = {key.replace("__", "."): value for key, value in settings.items()}
        manager = SimpleNamespace(resourceProfileManager=lambda: SimpleNamespace(isSupported=self.takes))
        java = SimpleNamespace(sc=lambda: manager)
        self.refuses = refuses
        self.sparkContext = SimpleNamespace(applicationId=f"app-{next(NUMBERS)}", _jsc=java)

    def get(self, key: str, default: str | None = None) -> str | None:
        return self.settings.get(key, default)

    def takes(self, profile: Any) -> bool:
        if self.refuses is not None:
            raise self.refuses
        return True


def thrown(message: str) -> Py4JJavaError:
    """An exception of the JVM with this message."""
    exception = SimpleNamespace(
        getMessage=lambda: message, _target_id="o1", _gateway_client=SimpleNamespace(garbage_collect_object=print)
    )
    return Py4JJavaError("", exception)


GPU = {"spark__executor__resource__gpu__amount": "2"}


@pytest.mark.parametrize(
    ("settings", "reasons"),
    [
        ({"spark__master": "local[2]"}, ["the master is local[2]", "executors have no GPU"]),
        ({"spark__master": "local[*]", **GPU}, ["the master is local[*]"]),
        ({"spark__master": "yarn"}, ["executors have no GPU"]),
        ({"spark__master": "spark://host:7077", **GPU}, []),
        ({"spark__master": "local-cluster[2,2,1024]", **GPU}, []),
    ],
)
def test_each_reason_is_named(settings: dict[str, str], reasons: list[str]) -> None:
    session: Any = Settings(**settings)
    found = why_not(session)
    assert len(found) == len(reasons)
    assert all(reason in line for reason, line in zip(reasons, found, strict=True))


@pytest.mark.parametrize(
    ("refuses", "reason"),
    [
        (
            thrown("TaskResourceProfiles are only supported for some clusters"),
            "TaskResourceProfiles are only supported",
        ),
        # Python may not ask: Spark decides when the stage starts.
        (Py4JError("Method is not allowed"), ""),
        (None, ""),
    ],
)
def test_a_profile_that_spark_would_refuse_is_not_used(
    refuses: Exception | None, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    session: Any = Settings(spark__master="yarn", refuses=refuses, **GPU)
    with caplog.at_level(logging.INFO):
        profile = stage_profile(session)
        stage_profile(session)
    assert (profile is None) == bool(reason)
    assert [reason in message for message in caplog.messages] == [True] * bool(reason)


@pytest.mark.parametrize(
    "refuses", [None, AnalysisException("TaskResourceProfiles are only supported for some clusters")]
)
def test_a_spark_connect_server_is_asked_for_the_profile_once(
    monkeypatch: pytest.MonkeyPatch, refuses: Exception | None
) -> None:
    asked = []

    class Profile:
        @property
        def id(self) -> int:
            asked.append(self)
            if refuses is not None:
                raise refuses
            return 7

    monkeypatch.setattr(scheduling, "is_connect", lambda _: True)
    monkeypatch.setattr("prox_spark.session.is_connect", lambda _: True)
    monkeypatch.setattr("pyspark.resource.ResourceProfileBuilder.require", lambda *_: SimpleNamespace(build=Profile()))
    session: Any = Settings(spark__master="yarn", **GPU)
    session.session_id = f"session-{next(NUMBERS)}"
    profile = stage_profile(session)
    assert (profile is None) == (refuses is not None)
    assert [str(refuses) in reason for reason in why_not(session)] == [True] * (refuses is not None)
    assert len(set(map(id, asked))) == 1


SHARE = "spark__task__resource__gpu__amount"


@pytest.mark.parametrize(
    ("profiles", "settings", "reason", "advice"),
    [
        (False, {}, "executors have no GPU", ""),
        (False, GPU, "set spark.task.resource.gpu.amount=0.25", ""),
        (False, {**GPU, SHARE: "many"}, "set spark.task.resource.gpu.amount=0.25", ""),
        (False, {**GPU, SHARE: "0.25"}, "", ""),
        (False, {**GPU, SHARE: "0.125"}, "", ""),
        (False, {**GPU, SHARE: "1"}, "", "set spark.task.resource.gpu.amount=0.25"),
        (True, GPU, "", ""),
        (True, {**GPU, SHARE: "0"}, "", ""),
        (True, {**GPU, SHARE: "1.0"}, "", "set spark.task.resource.gpu.amount=0"),
    ],
)
def test_where_stages_have_no_profile_the_share_is_the_whole_applications(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    profiles: bool,
    settings: dict[str, str],
    reason: str,
    advice: str,
) -> None:
    monkeypatch.setattr(scheduling, "takes_profiles", lambda: profiles)
    monkeypatch.setattr("prox_spark.spark_api.takes_profiles", lambda: profiles)
    session: Any = Settings(spark__master="yarn", **settings)
    found = why_not(session)
    assert [reason in line for line in found] == [True] * bool(reason)
    assert share_advice(session).startswith(advice)
    assert bool(share_advice(session)) == bool(advice)
    with caplog.at_level(logging.INFO):
        assert (stage_profile(session) is not None) == (profiles and not reason)
    assert [(reason or advice) in message for message in caplog.messages] == [True] * bool(reason or advice)
    check = EXAMINE._scheduling(session)
    assert (check.status, bool(check.found)) == ("warning" if advice else "ok", True)


class Closed(Settings):
    """As Databricks serverless: to read a property is an error, whatever default is given."""

    def get(self, key: str, default: str | None = None) -> str | None:
        raise AnalysisException(f"[CONFIG_NOT_AVAILABLE] Configuration {key} is not available.")


def test_properties_that_may_not_be_read_count_as_not_set() -> None:
    closed: Any = Closed()
    assert setting(closed, "spark.app.id") == ""
    assert default_partitions(closed) == 3
    assert [reason for reason in why_not(closed) if "executors have no GPU" in reason]


def test_every_gpu_has_several_tasks_and_every_core_where_their_number_is_unknown() -> None:
    known: Any = Settings(spark__executor__instances="3", spark__sql__shuffle__partitions="4", **GPU)
    assert default_partitions(known) == 3 * 4 * 6
    unbounded: Any = Settings(
        spark__dynamicAllocation__maxExecutors="2147483647", spark__sql__shuffle__partitions="200", **GPU
    )
    assert default_partitions(unbounded) == 600
    assert default_partitions(Settings(spark__sql__shuffle__partitions="auto")) == 3  # type: ignore[arg-type]
