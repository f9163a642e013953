"""The self-test of a stage: before a model's first batch it answers pages that are nearly all boilerplate.

A model that is prompted with another template than the one it was trained with does not fail: it writes no-ops, and a
run ends with an unchanged corpus. So the pages go through Spark and the engine on an executor, as in a run. This also detects
an engine that does not start, before any work begins.
"""

from collections.abc import Callable, Sequence
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from prox_spark.config.engines import ModelSettings
from prox_spark.engines.models import refiner_folder
from prox_spark.errors import SelfTestError
from prox_spark.generation.boilerplate import BOILERPLATE_PAGES
from prox_spark.generation.plan import StagePlan
from prox_spark.generation.prompts import Prompter
from prox_spark.generation.refiner import Stage
from prox_spark.generation.tokens import PromptTokenizer
from prox_spark.programs.operations import EDITING

_DROPPED = 0.5
_SHOWN_PROMPT = 400
_SHOWN_ANSWER = 160


def self_test(spark: SparkSession, plan: StagePlan, ask: Callable[[DataFrame], DataFrame]) -> None:
    """Let the stage's refiner answer ``BOILERPLATE_PAGES``; nothing without a model.

    ``ask`` takes documents (doc_id, content_hash, unit, text) to rows of ``programs`` as a run does. Raises
    ``SelfTestError`` where no answer would change anything; ``EngineError`` comes as it does from a run.
    """
    if not isinstance(plan.settings, ModelSettings):
        return
    rows = [(f"self-test {number}", None, None, page) for number, page in enumerate(BOILERPLATE_PAGES)]
    pages = spark.createDataFrame(rows, "doc_id string, content_hash string, unit bigint, text string")
    rows = ask(pages).select("status", "output", "calls", "keep_score", "line_scores", "error").collect()
    if not effective(plan.stage, rows):
        raise SelfTestError(complaint(plan, rows))


def effective(stage: Stage, rows: Sequence[Any]) -> bool:
    """Whether the answers to pages of boilerplate have any effect; ``rows`` are rows of ``programs``.

    Document stage: one of them decides. Chunk stage: one has a well-formed call that edits, or scores a line below 0.5.
    """
    if stage == "document":
        return any(row["keep_score"] is not None for row in rows)
    edits = any(call["outcome"] == "ok" and call["operation"] in EDITING for row in rows for call in row["calls"] or ())
    return edits or any(score < _DROPPED for row in rows for score in row["line_scores"] or ())


def complaint(plan: StagePlan, rows: Sequence[Any]) -> str:
    """What was asked, what was answered, and what to check; the reason is the first line. ``plan`` has a model."""
    assert isinstance(plan.settings, ModelSettings)
    stage, name = plan.stage, plan.refiner.template
    nothing = "makes no decision for any" if stage == "document" else "would remove nothing from any"
    reason = (
        f"self-test of the {stage} stage: {plan.settings.model} {nothing} of {len(BOILERPLATE_PAGES)} pages of boilerplate; "
        f"is this the template of its training? check {stage}.template= (now {name!r}), {stage}.engine.model= and the "
        "folder's refiner.json; generate.self_test=false skips this test"
    )
    answers = [f"- {_answer(row)}" for row in rows]
    prompt = f"a prompt: {_shorten(_prompt(plan, BOILERPLATE_PAGES[0]), _SHOWN_PROMPT)!r}"
    return "\n".join([reason, prompt, "the answers:", *answers])


def _prompt(plan: StagePlan, page: str) -> str:
    """The page's first prompt as the model gets it, special tokens left out."""
    assert isinstance(plan.settings, ModelSettings)
    tokenizer = PromptTokenizer(refiner_folder(plan.settings))
    prompter = Prompter(plan.refiner, tokenizer)
    (asked,) = prompter.ask([page])
    return tokenizer.decode(prompter.request(0, asked, 0).token_ids or []) if asked.chunks else ""


def _answer(row: Any) -> str:
    if row["line_scores"]:
        return f"{len(row['line_scores'])} lines scored from {min(row['line_scores']):.3f}"
    answer = f"{_shorten(row['output'] or '', _SHOWN_ANSWER)!r} ({row['status']})"
    return f"{answer}: {_shorten(row['error'], _SHOWN_ANSWER)}" if row["error"] else answer


def _shorten(text: str, length: int) -> str:
    """The text without its middle: a template stands at both ends."""
    half = length // 2
    return text if len(text) <= length else f"{text[:half]} … {text[-half:]}"
