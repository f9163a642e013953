"""The self-test of a stage: before a model's first batch it answers pages that are nearly all boilerplate.

A model that is prompted with another template than the one it was trained with does not fail: it writes no-ops, and a
run ends with an unchanged corpus. So the pages go through Spark and the engine on an executor, as in a run. This also detects
an engine that does not start, before any work begins.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from prox_spark.config.engines import ModelSettings
from prox_spark.config.models import ExecutionConfig
from prox_spark.engines.models import refiner_folder
from prox_spark.errors import CompatError, SelfTestError
from prox_spark.execution import ChunkProgram, Result, execute
from prox_spark.execution.settings import SEMANTICS
from prox_spark.generation.boilerplate import BOILERPLATE_PAGES
from prox_spark.generation.plan import StagePlan
from prox_spark.generation.prompts import Prompter
from prox_spark.generation.refiner import Stage
from prox_spark.generation.tokens import PromptTokenizer
from prox_spark.programs import parse

DEFAULTS = ExecutionConfig()

_PAGES = {f"self-test {number}": page for number, page in enumerate(BOILERPLATE_PAGES)}
_SHOWN_PROMPT = 400
_SHOWN_ANSWER = 160


def self_test(
    spark: SparkSession,
    plan: StagePlan,
    ask: Callable[[DataFrame], DataFrame],
    execution: ExecutionConfig = DEFAULTS,
) -> None:
    """Let the stage's refiner answer ``BOILERPLATE_PAGES``; nothing without a model.

    ``ask`` takes documents (doc_id, content_hash, unit, text) to rows of ``programs`` as a run does; ``execution`` says how
    they would be executed. Raises ``SelfTestError`` where no answer would change anything; ``EngineError`` comes as it does
    from a run.
    """
    if not isinstance(plan.settings, ModelSettings):
        return
    pages = spark.createDataFrame(
        [(name, None, None, page) for name, page in _PAGES.items()],
        "doc_id string, content_hash string, unit bigint, text string",
    )
    columns = ("doc_id", "chunk", "line_start", "line_end", "line_offset", "status", "output", "calls", "keep_score")
    rows = ask(pages).select(*columns, "line_scores", "error").collect()
    if not effective(plan.stage, rows, execution):
        raise SelfTestError(complaint(plan, rows, execution))


def effective(stage: Stage, rows: Sequence[Any], execution: ExecutionConfig = DEFAULTS) -> bool:
    """Whether the answers to pages of boilerplate have any effect; ``rows`` are rows of ``programs``.

    Document stage: one of them decides. Chunk stage: executed, the programs or scores change a line of one page.
    """
    if stage == "document":
        return any(row["keep_score"] is not None for row in rows)
    return any(_changes(result) for result in _execute(rows, execution).values())


def _execute(rows: Iterable[Any], execution: ExecutionConfig) -> Mapping[str, Result]:
    """The pages as the answers leave them; one that the published executor raises on is left out.

    The guards are those that a run has. The thresholds of scores and confidences are not: a value that removes nothing is
    tried out on programs that are there.
    """
    settings = execution.settings().model_copy(
        update={"drop_line_below": DEFAULTS.drop_line_below, "min_confidence": 0.0}
    )
    programs: dict[str, list[ChunkProgram]] = {}
    for row in sorted(rows, key=lambda row: (row["doc_id"], row["chunk"])):
        where = (row["line_start"], row["line_end"], row["line_offset"])
        programs.setdefault(row["doc_id"], []).append(ChunkProgram(row["output"], *where, row["line_scores"] or ()))
    results = {}
    for name, chunks in programs.items():
        try:
            results[name] = execute(_PAGES[name], chunks, execution.mode, settings=settings)
        except CompatError:
            continue
    return results


def _changes(result: Result) -> bool:
    """A page that is left without its text has lost lines, too; one that a program drops as a whole has not."""
    return bool(result.dropped_lines) or result.reason in ("removed_share", "too_short")


def complaint(plan: StagePlan, rows: Sequence[Any], execution: ExecutionConfig = DEFAULTS) -> str:
    """What was asked, what was answered, and what to check; the reason is the first line. ``plan`` has a model."""
    assert isinstance(plan.settings, ModelSettings)
    stage, name = plan.stage, plan.refiner.template
    nothing = "makes no decision for any" if stage == "document" else "would remove nothing from any"
    results = {} if stage == "document" else _execute(rows, execution)
    guards = sorted({guard for result in results.values() for guard in (result.guard or "").split(",") if guard})
    void = f" (a guard voids its programs: {', '.join(guards)}; see the answers)" if guards else ""
    advice = (
        f"is this the template of its training? check {stage}.template= (now {name!r}), {stage}.engine.model= and the "
        "folder's refiner.json; generate.self_test=false skips this test"
    )
    if stage == "chunk" and effective(stage, rows, execution.model_copy(update={"semantics": SEMANTICS})):
        advice = f"execution.semantics={SEMANTICS} reads these answers as programs: set it (docs/programs.md)"
    reason = (
        f"self-test of the {stage} stage: {plan.settings.model} {nothing} of {len(BOILERPLATE_PAGES)} pages of boilerplate"
        f"{void}; {advice}"
    )
    answers = [f"- {_answer(row, execution)}" for row in rows]
    prompt = f"a prompt: {_shorten(_prompt(plan, BOILERPLATE_PAGES[0]), _SHOWN_PROMPT)!r}"
    return "\n".join([reason, prompt, "the answers:", *answers])


def _prompt(plan: StagePlan, page: str) -> str:
    """The page's first prompt as the model gets it, special tokens left out."""
    assert isinstance(plan.settings, ModelSettings)
    tokenizer = PromptTokenizer(refiner_folder(plan.settings))
    prompter = Prompter(plan.refiner, tokenizer, plan.prefix)
    (asked,) = prompter.ask([page])
    return tokenizer.decode(prompter.request(0, asked, 0).token_ids or []) if asked.chunks else ""


def _answer(row: Any, execution: ExecutionConfig) -> str:
    """An answer, its status, and what became of its calls."""
    if row["line_scores"]:
        return f"{len(row['line_scores'])} lines scored from {min(row['line_scores']):.3f}"
    answer = f"{_shorten(row['output'] or '', _SHOWN_ANSWER)!r} ({row['status']})"
    if row["error"]:
        return f"{answer}: {_shorten(row['error'], _SHOWN_ANSWER)}"
    outcomes = Counter(call.outcome for call in parse(row["output"] or "", execution.semantics).calls)
    if set(outcomes) <= {"ok"}:
        return answer
    return f"{answer}: calls {', '.join(f'{count} {outcome}' for outcome, count in sorted(outcomes.items()))}"


def _shorten(text: str, length: int) -> str:
    """The text without its middle: a template stands at both ends."""
    half = length // 2
    return text if len(text) <= length else f"{text[:half]} … {text[-half:]}"
