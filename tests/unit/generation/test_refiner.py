"""Refiners: what a model folder must have, and what changes a fingerprint."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from prox_spark.config.engines import RulesSettings, ScriptedSettings, TransformersSettings, VllmSettings
from prox_spark.config.models import ChunkConfig, DocumentConfig
from prox_spark.errors import RefinerError
from prox_spark.generation.kinds import load_refiner
from prox_spark.generation.plan import plan_stage
from prox_spark.generation.refiner import fingerprint
from prox_spark.generation.tokens import PromptTokenizer
from prox_spark.programs.grammar import EBNF


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def vllm(folder: Path) -> VllmSettings:
    return VllmSettings(kind="vllm", model=str(folder))


def test_refiner_json_says_how_a_model_is_asked(tiny_model: Path) -> None:
    document = load_refiner("document", vllm(tiny_model))
    chunk = load_refiner("chunk", vllm(tiny_model))
    assert document.decision == ("keep", "drop")
    assert document.grammar is None
    assert (chunk.window, chunk.max_tokens, chunk.grammar) == (768, 48, EBNF)


def test_a_folder_without_one_is_a_released_refiner(folder: Path) -> None:
    (folder / "refiner.json").unlink()
    document = load_refiner("document", vllm(folder))
    chunk = load_refiner("chunk", vllm(folder))
    assert (document.template, document.window, document.decision) == ("prox-llama2/1", 2000, None)
    assert (chunk.template, chunk.window, chunk.max_tokens, chunk.numbering) == ("prox-plain/1", 1500, 256, "document")


def test_settings_take_the_place_of_the_refiners_own(tiny_model: Path) -> None:
    given = load_refiner(
        "chunk", vllm(tiny_model), template_name="prox-plain/1", window=99, max_tokens=9, grammar=False
    )
    assert (given.template, given.window, given.max_tokens, given.grammar) == ("prox-plain/1", 99, 9, None)


def test_the_fingerprint_is_of_what_answers_and_not_of_where_it_lies(folder: Path, tiny_model: Path) -> None:
    there, here = load_refiner("chunk", vllm(tiny_model)), load_refiner("chunk", vllm(folder))
    assert fingerprint(there) == fingerprint(here)
    other = TransformersSettings(kind="transformers", model=str(folder))
    assert fingerprint(load_refiner("chunk", other)) == fingerprint(here)


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_changed_model_file_changes_the_fingerprint(folder: Path, file: str) -> None:
    before = fingerprint(load_refiner("chunk", vllm(folder)))
    path = folder / file
    path.write_bytes(path.read_bytes() + b"\n")
    assert fingerprint(load_refiner("chunk", vllm(folder))) != before


def test_template_chunking_decoding_and_grammar_change_the_fingerprint(tiny_model: Path) -> None:
    refiner = load_refiner("chunk", vllm(tiny_model))
    others = [
        replace(refiner, template="prox-plain/1"),
        replace(refiner, window=100),
        replace(refiner, numbering="chunk"),
        replace(refiner, max_tokens=7),
        replace(refiner, grammar=None),
        replace(refiner, revision="v2"),
    ]
    prints = {fingerprint(other) for other in (refiner, *others)}
    assert len(prints) == len(others) + 1
    assert fingerprint(replace(refiner, name="another")) == fingerprint(refiner)


def test_rules_and_answers_change_the_fingerprint() -> None:
    rules = [RulesSettings(kind="rules"), RulesSettings(kind="rules", rules=("c4_policy",))]
    scripted = [ScriptedSettings(kind="scripted"), ScriptedSettings(kind="scripted", answers={"a": "keep_chunk()"})]
    prints = {fingerprint(load_refiner("chunk", settings)) for settings in (*rules, *scripted)}
    assert len(prints) == 4
    with_fault = ScriptedSettings(kind="scripted", error_on="x")
    assert fingerprint(load_refiner("chunk", with_fault)) == fingerprint(load_refiner("chunk", scripted[0]))


def test_pickled_weights_alone_are_refused_with_the_reason(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(RefinerError, match=r"pytorch_model\.bin.*can run arbitrary code"):
        load_refiner("chunk", vllm(folder))


@pytest.mark.parametrize(
    ("missing", "said"),
    [("model.safetensors", "no weights"), ("config.json", "no config"), ("tokenizer.json", "no tokenizer")],
)
def test_what_a_model_folder_lacks_is_named(folder: Path, missing: str, said: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(RefinerError, match=said):
        plan_stage("chunk", ChunkConfig(engine=vllm(folder)))


def test_a_model_that_is_nowhere_is_named() -> None:
    with pytest.raises(RefinerError, match="/no/such/model"):
        load_refiner("chunk", VllmSettings(kind="vllm", model="/no/such/model"))


def test_a_broken_refiner_json_is_explained(folder: Path) -> None:
    (folder / "refiner.json").write_text(json.dumps({"name": "x", "context": 2048, "chunk": {"window": 0}}))
    with pytest.raises(RefinerError, match=r"chunk\.window"):
        load_refiner("chunk", vllm(folder))
    (folder / "refiner.json").write_text(json.dumps({"name": "x", "context": 2048}))
    with pytest.raises(RefinerError, match="not a refiner for the chunk stage"):
        load_refiner("chunk", vllm(folder))


def test_a_window_that_the_context_cannot_hold_is_refused(tiny_model: Path) -> None:
    with pytest.raises(RefinerError, match="context is 2048"):
        plan_stage("chunk", ChunkConfig(engine=vllm(tiny_model), window=2040))
    with pytest.raises(RefinerError, match="unknown prompt template"):
        plan_stage("document", DocumentConfig(engine=vllm(tiny_model), template="prox-plain/9"))


def test_decision_words_with_the_same_first_token_are_refused(tiny_model: Path) -> None:
    with pytest.raises(RefinerError, match="same token"):
        PromptTokenizer(tiny_model).decision_ids(("drop_doc", "drop_all"))
