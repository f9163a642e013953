"""The Java that Spark would start: found, judged, and asked for in one line."""

from pathlib import Path

import pytest

from prox_spark.errors import ProxSparkError
from prox_spark.java import check_java


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ('openjdk version "17.0.9"', ""),
        ('openjdk version "21"', ""),
        ('java version "1.8.0_402"', "Java 8 is not supported: install Java 17 or 21, or set JAVA_HOME to it"),
        ("", "Java is missing: install Java 17 or 21"),
    ],
)
def test_a_java_that_spark_does_not_take_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, reason: str
) -> None:
    (tmp_path / "bin").mkdir()
    if said:
        java = tmp_path / "bin" / "java"
        java.write_text(f"#!/bin/sh\necho '{said}' >&2\n")
        java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    if not reason:
        check_java()
        return
    with pytest.raises(ProxSparkError) as raised:
        check_java()
    assert str(raised.value).startswith(reason)
    assert "\n" not in str(raised.value)
