"""Fingerprints that stores hold: what they mean today they mean tomorrow.

A change that alters one of these makes every stored program of that refiner, or every stored refinement, another one: users
pay their engines again. New fields and settings are left out at their defaults. Change a value here only together with
``SEMANTICS`` or the refiner's own version, and say so in the change.
"""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from prox_spark.config import load_config
from prox_spark.config.engines import (
    HARMLESS_OPTIONS,
    ColumnSettings,
    OpenaiSettings,
    RandomSettings,
    RulesSettings,
    ScriptedSettings,
    StatisticsSettings,
    TransformersSettings,
    VllmSettings,
)
from prox_spark.config.models import ExecutionConfig
from prox_spark.generation.kinds import load_refiner
from prox_spark.generation.plan import Refiners
from prox_spark.generation.refiner import Refiner, RefinerId, fingerprint
from prox_spark.generation.templates import TEMPLATES
from prox_spark.programs.grammar import grammar_of
from prox_spark.refinement import fingerprint as refinements
from prox_spark.refinement.fingerprint import identity

ROOT = Path(__file__).parents[3]

SHIPPED = {
    "web-lines-2": "f38ba885cddd5ac8e3137e1b75b4fd4ca3da20e11b4ccc15c2047acb5428eae0",
    "web-programs-1": "0a877c60fed3cf9038ccec8be6b347161a01acc2c7213daabdf71e9224dc5db5",
    "web-documents-1": "17b549d5e8de430e7c4bb8e58856f632ff71573109271ed515854611e587042f",
}
"""Refiners that ship with the package."""

TEMPLATE = {
    ("document", "prox-plain/1"): "485d93035e858918a0c0f2a39d01ccfb3b388efe28d00953e81ad6a3c6f22768",
    ("chunk", "prox-plain/1"): "77f7bc08a937e420e5cd03f636ea5800c5968685fa8e9d53a516ae6688497b33",
    ("document", "prox-llama2/1"): "cbb6a8d99a0f267675abed95f22556c8bc798f71dd7f840fa96c5a395ad59949",
    ("chunk", "prox-llama2/1"): "cefa11acfc89e5ff80f6053eb45462613f0025bed4874ddc04945332694c303b",
    ("document", "lines/1"): "a2b728689a357aa126d8670a0b02b233ec1f0c44a14db8015f61a95c58774a01",
    ("chunk", "lines/1"): "f52b81597e1cafe88512a48e1ef1e41b7a6d82051c829e2e48bbb57d1732ebd4",
    ("document", "text/1"): "18469b28e7394cf9ca9a6bb28d4293c3790a518e73469504d1af039acf876ca6",
    ("chunk", "text/1"): "4a199476d0bcf022b821f655d4a41e8107167f4a164bf3bee8a8324ed731a123",
    ("document", "marked/2"): "7c78fe55d50a8416df12cf08fc2a6f45e2058748c7bf17db42645d2e8ff7e05d",
    ("chunk", "marked/2"): "b54b0cf4114094f41a916ffde857fe9cde2aeb31d40d75084728af12322ae6e9",
    ("document", "numbered/1"): "f0257e123391d1f7409eee4741b1d14dc08c3cdab4d3c7d6eecea8299ba8510a",
    ("chunk", "numbered/1"): "520b7b512c3bd75c5c0e61b15da069fe05b6f2b3674fd4583b72e642c7b9657f",
    ("document", "ultrax/1"): "1c1b45427eca778258cacb2267a60274014e4217def6b64dd01d926ee3362c98",
    ("chunk", "ultrax/1"): "7ad8046cbd6c4a8432926a413953ccd42444cdf009c392c76eaee665e4b1dcff",
    ("document", "ultrax/2"): "1c1b45427eca778258cacb2267a60274014e4217def6b64dd01d926ee3362c98",
    ("chunk", "ultrax/2"): "7ad8046cbd6c4a8432926a413953ccd42444cdf009c392c76eaee665e4b1dcff",
}
"""A model refiner with each template, by stage."""

HELD = {
    "lines/1": "7c5931fc9fa6803285238295d9fb3f1ac8c1bafa43545d4c7a488b28d7cdad96",
    "ultrax/1": "46e6470f3c6f43a0a74174b632e4dd98b090929b0c2a2b92b9f5edd8afebcd7b",
    "ultrax/2": "dcae92453b09be013de0a4a3e8c1c01a5ba86521ba07bbe4cd125b814f707082",
}
"""A model refiner that is held to the grammar of its template."""

REFINEMENTS = {
    "local": (
        "8776a97a9676a42ac83f3646f49e74c80810f00d7305475360e7dbb9b2a03a9b",
        "5cd7d6cdf4a8b862c23f00456f8e79e4536b038f134cf0321ccb584d03e667a8",
        "7e2f3c08339c6a401654f9b900191bcf6cf95b570406febe0def4d264956bfd7",
    ),
    "cpu": (
        "4eea2508adecb0dfe57457bc15b53e4b31f7360174d260e59ac3a2556fcc4c21",
        "1ed64f9048153b87a2ce3c46ab8bcbaa89352e78bf352a2de391dca2e5bf203a",
        "33614a540da01d8c2b444c3a94634fbae1085d00d767c3ff6ecc2139f6af6068",
    ),
    "rules": (
        "6182a68fd4a23549a1ce462eb918d2b0aa7c0d8eeda0cb62220f85301237845b",
        "8ad5113c822d65753e120f2da024337e08e1b2b89d1c5ada4be4505ab812da7b",
        "0dfb5fb6975cf6fd548a8758c95c909e82c8636254d8080d1ba128081a2b4ca9",
    ),
    "cluster": (
        "6182a68fd4a23549a1ce462eb918d2b0aa7c0d8eeda0cb62220f85301237845b",
        "8ad5113c822d65753e120f2da024337e08e1b2b89d1c5ada4be4505ab812da7b",
        "0dfb5fb6975cf6fd548a8758c95c909e82c8636254d8080d1ba128081a2b4ca9",
    ),
    "databricks/refine": (
        "6182a68fd4a23549a1ce462eb918d2b0aa7c0d8eeda0cb62220f85301237845b",
        "8ad5113c822d65753e120f2da024337e08e1b2b89d1c5ada4be4505ab812da7b",
        "0dfb5fb6975cf6fd548a8758c95c909e82c8636254d8080d1ba128081a2b4ca9",
    ),
    "databricks/endpoint": (
        "6182a68fd4a23549a1ce462eb918d2b0aa7c0d8eeda0cb62220f85301237845b",
        "8ad5113c822d65753e120f2da024337e08e1b2b89d1c5ada4be4505ab812da7b",
        "0dfb5fb6975cf6fd548a8758c95c909e82c8636254d8080d1ba128081a2b4ca9",
    ),
    "emr/refine": (
        "6182a68fd4a23549a1ce462eb918d2b0aa7c0d8eeda0cb62220f85301237845b",
        "8ad5113c822d65753e120f2da024337e08e1b2b89d1c5ada4be4505ab812da7b",
        "0dfb5fb6975cf6fd548a8758c95c909e82c8636254d8080d1ba128081a2b4ca9",
    ),
}
"""Configurations in ``conf``, with stand-ins for their refiners, by each version of the rules."""

SCRIPTED = ScriptedSettings(kind="scripted", answers={"a": 0.5}, default="keep_doc()")
BY_LINES = ScriptedSettings(kind="scripted", lines_per_chunk=4)
COLUMN = ColumnSettings(kind="column", column="score", scale=(0, 5))
ENGINES: list[tuple[Any, Any, str]] = [
    ("document", RulesSettings(kind="rules"), "b587d748e83b9800ddaee604f5e0bbee12aa15cec2be58604af76bfd3085c25e"),
    ("chunk", RulesSettings(kind="rules"), "f6dda77aa2c1d73b7389f5b07b20b36706e5fd6359124fee08c7730c7f631bc9"),
    (
        "document",
        RulesSettings(kind="rules", rules=("all",)),
        "3cfcc715a6477b3a79da1aced6bd4027a44e5077df1250f299613c8c13c66ab9",
    ),
    (
        "chunk",
        RulesSettings(kind="rules", rules=("all",)),
        "2020355bd38fe74587161e44c07a2aadb8807b3e626bfdc031bc57e2c60d25f6",
    ),
    (
        "document",
        SCRIPTED,
        "9b74c24a9efcb313aeb2db00beccd1a9af902a5d55aa5ea1ad13be7220497f2c",
    ),
    (
        "chunk",
        SCRIPTED,
        "517b3dbeea9e3c02865cc507f8af82699ab5f38f6e81eff278ab87f37d580b00",
    ),
    (
        "chunk",
        BY_LINES,
        "a2ef6b6225bf24f67c690c13a1abab9c922bc06fd77cc4c1a70cb8d4fdab005d",
    ),
    (
        "document",
        RandomSettings(kind="random", seed=3),
        "ef74fca558fa1de5bc12567bb2a3df3f2122558cb336bcb91cd34d43d928d393",
    ),
    (
        "document",
        COLUMN,
        "a69a810dab120599aff6b437c07be1179b03236429079ef36fc7a842faeb8484",
    ),
    (
        "chunk",
        OpenaiSettings(kind="openai", model="served", refiner="web-programs-1", base_url="http://127.0.0.1/v1"),
        "898d8766530ce8a011c5309225a4f9083665ee805265bce99b1a3bc9588ff620",
    ),
]

DOCUMENT, CHUNK = RefinerId("document", "any", "d" * 64), RefinerId("chunk", "any", "c" * 64)
MODEL = Refiner(
    stage="chunk",
    name="any",
    kind="model",
    sources=(("config.json", "0" * 64),),
    revision="r1",
    template="lines/1",
    window=1500,
    context=2048,
    max_tokens=256,
)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_refiners_keep_their_fingerprints(name: str) -> None:
    if name == "web-documents-1":
        refiner = load_refiner("document", StatisticsSettings(kind="statistics", model=name))
    else:
        refiner = load_refiner("chunk", TransformersSettings(kind="transformers", model=name))
    assert fingerprint(refiner) == SHIPPED[name]


def test_every_shipped_refiner_is_pinned() -> None:
    folder = ROOT / "prox_spark" / "refiners"
    assert {path.name for path in folder.iterdir() if path.is_dir() and path.name != "__pycache__"} == SHIPPED.keys()


@pytest.mark.parametrize(("stage", "name"), TEMPLATE)
def test_every_template_keeps_its_fingerprint(stage: Any, name: str) -> None:
    assert fingerprint(replace(MODEL, stage=stage, template=name)) == TEMPLATE[stage, name]


@pytest.mark.parametrize("name", HELD)
def test_a_refiner_that_is_held_to_a_grammar_keeps_its_fingerprint(name: str) -> None:
    held = replace(MODEL, template=name, grammar=grammar_of("chunk", name))
    assert fingerprint(held) == HELD[name]


def test_every_template_is_pinned() -> None:
    assert {name for _, name in TEMPLATE} == TEMPLATES.keys()


@pytest.mark.parametrize(("stage", "settings", "pinned"), ENGINES)
def test_refiners_of_other_engines_keep_their_fingerprints(stage: Any, settings: Any, pinned: str) -> None:
    assert fingerprint(load_refiner(stage, settings)) == pinned


@pytest.mark.parametrize("semantics", [1, 2, 3])
@pytest.mark.parametrize("name", REFINEMENTS)
def test_the_refinements_of_conf_keep_their_fingerprints(name: str, semantics: int) -> None:
    config = load_config(ROOT / "conf" / f"{name}.yaml", [f"execution.semantics={semantics}"])
    assert refinements.fingerprint(identity(config, Refiners(DOCUMENT, CHUNK))) == REFINEMENTS[name][semantics - 1]


def test_a_new_field_of_a_refiner_is_left_out_at_its_default() -> None:
    assert fingerprint(replace(MODEL, options=())) == fingerprint(MODEL)
    assert fingerprint(replace(MODEL, options=(("dtype", '"half"'),))) != fingerprint(MODEL)


def test_a_new_execution_setting_is_left_out_at_its_default() -> None:
    class Later(ExecutionConfig):
        most_links: float = 1.0
        """A setting that a later version adds."""

    config = load_config(ROOT / "conf" / "rules.yaml")
    refiners = Refiners(DOCUMENT, CHUNK)
    given = config.execution.model_dump()
    neutral = config.model_copy(update={"execution": Later(**given)})
    assert identity(neutral, refiners) == identity(config, refiners)
    other = config.model_copy(update={"execution": Later(**given, most_links=0.5)})
    assert identity(other, refiners)["execution.most_links"] == 0.5


@pytest.mark.parametrize("option", ["dtype", "quantization", "max_model_len", "hf_overrides", "load_format"])
def test_an_engine_option_that_changes_answers_makes_another_refiner(option: str) -> None:
    plain = load_refiner("chunk", VllmSettings(kind="vllm", model="web-lines-2"))
    given = {"hf_overrides": {"b": 1, "a": 2}, "max_model_len": 512}.get(option, "x")
    settings = VllmSettings(kind="vllm", model="web-lines-2", options={option: given})
    assert fingerprint(load_refiner("chunk", settings)) != fingerprint(plain)


def test_harmless_engine_options_change_no_fingerprint() -> None:
    settings = VllmSettings(kind="vllm", model="web-lines-2", options=dict.fromkeys(sorted(HARMLESS_OPTIONS), 1))
    assert fingerprint(load_refiner("chunk", settings)) == SHIPPED["web-lines-2"]


@pytest.mark.parametrize("options", [{"dtype": "auto"}, {"quantization": None}, {"tensor_parallel_size": 1}])
def test_writing_out_a_default_of_vllm_changes_no_fingerprint(options: dict[str, Any]) -> None:
    settings = VllmSettings(kind="vllm", model="web-lines-2", options=options)
    assert fingerprint(load_refiner("chunk", settings)) == SHIPPED["web-lines-2"]


def test_the_form_of_options_in_a_fingerprint_is_pinned() -> None:
    options = (("dtype", '"half"'), ("hf_overrides", '{"a":2,"b":1}'))
    settings = VllmSettings(
        kind="vllm", model="web-lines-2", options={"hf_overrides": {"b": 1, "a": 2}, "dtype": "half", "max_num_seqs": 3}
    )
    assert load_refiner("chunk", settings).options == options
    assert (
        fingerprint(replace(MODEL, options=options))
        == "217e2d65b7204e4871b61fd8de72fab5e3940e664ef7dcc150aba3da680e2752"
    )


def test_a_token_is_no_option() -> None:
    with pytest.raises(ValueError, match="set HF_TOKEN"):
        VllmSettings(kind="vllm", model="m", options={"hf_token": "secret"})


def test_every_harmless_option_is_one_of_vllms() -> None:
    arguments = pytest.importorskip("vllm.engine.arg_utils")
    known = {field.name for field in fields(arguments.AsyncEngineArgs)}
    # vLLM renames options now and then: a name of another version does no harm.
    assert len(HARMLESS_OPTIONS - known) <= 4, HARMLESS_OPTIONS - known
