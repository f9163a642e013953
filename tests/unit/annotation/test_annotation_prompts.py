"""The prompts: their examples obey their own rules, and their version tells any change."""

import json

import pytest
from pydantic import ValidationError

from prox_spark.annotation.answers import read_program, read_scores
from prox_spark.annotation.prompts import PROGRAM_TASKS, load_prompt, load_prompts, numbered
from prox_spark.annotation.task import chunks_of
from prox_spark.config.annotate import AnnotateConfig

ENDPOINT = {"model": "m", "base_url": "http://h/v1"}


def settings(**more: object) -> AnnotateConfig:
    return AnnotateConfig.model_validate({"endpoint": ENDPOINT, "output": "o", **more})


@pytest.mark.parametrize("task", PROGRAM_TASKS)
def test_every_example_of_a_program_is_a_good_answer_to_its_page(task: str) -> None:
    for shown, answer in load_prompt(task, 1000).examples:
        lines = shown.removeprefix("<page>\n").removesuffix("\n</page>").split("\n")
        labels, texts = zip(*((line[:5], line[6:]) for line in lines), strict=True)
        first = int(labels[0][1:4])
        assert numbered(texts, first).replace("] \n", "]\n") == "\n".join(lines)
        read_program(task, answer, texts, first)
    assert {"keep_chunk()"} < {json.loads(answer)["program"] for _, answer in load_prompt(task, 1000).examples}


def test_every_example_of_scores_is_a_good_answer() -> None:
    for _, answer in load_prompt("scores", 1000).examples:
        read_scores(answer)


def test_a_conversation_has_the_rules_the_examples_and_the_page() -> None:
    prompt = load_prompt("footer", 1000)
    request = prompt.request(7, "[000] A page.")
    roles = [message["role"] for message in request.messages]
    assert roles == ["system", *["user", "assistant"] * len(prompt.examples), "user"]
    assert request.messages[-1]["content"] == "<page>\n[000] A page.\n</page>"
    assert (request.id, request.name, request.schema["required"]) == (7, "footer", ["program"])
    assert request.schema["additionalProperties"] is False


def test_a_version_names_its_task_and_tells_another_limit() -> None:
    versions = {prompt.task: prompt.version for prompt in load_prompts(settings())}
    assert list(versions) == ["scores", *PROGRAM_TASKS]
    assert all(version.startswith(f"{task}/1-") for task, version in versions.items())
    smaller = {prompt.task: prompt.version for prompt in load_prompts(settings(chunk_characters=500))}
    assert [task for task in versions if smaller[task] == versions[task]] == ["scores"]


def test_only_what_is_wanted_is_asked() -> None:
    assert [prompt.task for prompt in load_prompts(settings(tasks=["scores"]))] == ["scores"]
    assert [prompt.task for prompt in load_prompts(settings(tasks=["programs"]))] == list(PROGRAM_TASKS)


def test_a_chunk_holds_its_limit_with_labels_and_a_longer_line_is_left_out() -> None:
    lines = ["a" * 40] * 5 + ["b" * 200] + ["c" * 40] * 2
    chunks = [(chunk.line_start, chunk.line_end) for chunk in chunks_of(lines, 100)]
    assert chunks == [(0, 1), (2, 3), (4, 4), (6, 7)]
    for start, end in chunks:
        assert len(numbered(lines[start : end + 1], start)) < 100
    assert chunks_of(["", "  ", "x" * 500], 100) == []


def test_files_go_to_a_folder_of_this_machine() -> None:
    with pytest.raises(ValidationError, match="not a local folder"):
        settings(output="s3://bucket/labels")


@pytest.mark.parametrize("name", ["model", "messages", "response_format", "stream", "n"])
def test_parameters_do_not_replace_what_is_asked(name: str) -> None:
    with pytest.raises(ValidationError, match="sets"):
        settings(parameters={name: 1})
