"""The page of standalone and YARN clusters: every command names files that are there and keys that are known."""

from platform_commands import ROOT, check_verb, commands, links, options, properties

from prox_spark.generation.scheduling import TASKS_PER_GPU
from prox_spark.session import DELTA


def test_every_command_of_the_page_is_one() -> None:
    submitted = [words for words in commands("clusters.md") if words[0] == "spark-submit"]
    assert len(submitted) == 3
    for words in submitted:
        (at,) = [i for i, word in enumerate(words) if word.startswith("jobs/")]
        check_verb([words[at].removeprefix("jobs/").removesuffix(".py"), *words[at + 1 :]])
        settings = [one.partition("=")[::2] for one in options(words[:at], "--conf")]
        assert all(value for _, value in settings)
        for file in options(words[:at], "--properties-file") + options(words[:at], "--files"):
            assert (ROOT / file).is_file()
    assert all((ROOT / "docs" / target).exists() for target in links("clusters.md"))


def test_what_the_page_sets_for_delta_is_what_a_local_session_has() -> None:
    words = next(words for words in commands("clusters.md") if "jobs/execute.py" in words)
    settings = dict(one.split("=", 1) for one in options(words, "--conf"))
    assert settings.items() >= DELTA.items()
    (package,) = options(words, "--packages")
    assert f"delta-spark=={package.rsplit(':', 1)[1]}" in (ROOT / "constraints.txt").read_text().splitlines()


def test_the_shipped_gpu_properties_leave_room_for_the_tasks_that_share_a_gpu() -> None:
    settings = properties((ROOT / "conf" / "gpu" / "spark.conf").read_text(encoding="utf-8"))
    assert settings["spark.executor.resource.gpu.amount"] == "1"
    assert int(settings["spark.executor.cores"]) >= TASKS_PER_GPU
    assert "spark.task.resource.gpu.amount" not in settings
    assert settings.items() >= DELTA.items()
