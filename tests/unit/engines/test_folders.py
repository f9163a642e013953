"""Model folders as people have them: each is run whole, or refused by one line that says what it is and what to do."""

import json
from collections.abc import Callable
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

import folders_made as made
import pytest

from prox_spark.config.engines import OpenaiSettings, TransformersSettings, VllmSettings
from prox_spark.config.models import ChunkConfig
from prox_spark.engines.folders import Said, check_fit, read_folder, read_weights
from prox_spark.engines.folders.reading import CAUSAL
from prox_spark.engines.models import resolve_model
from prox_spark.engines.supervised import wire
from prox_spark.engines.supervised.transformers_backend import TransformersBackend
from prox_spark.engines.supervised.whole import check_whole
from prox_spark.errors import RefinerError
from prox_spark.generation.kinds import load_refiner
from prox_spark.generation.plan import plan_stage
from prox_spark.generation.task import _asker

SETTINGS = {"transformers": TransformersSettings, "vllm": VllmSettings}


def plan(folder: Path, engine: str) -> None:
    plan_stage("chunk", ChunkConfig(engine=SETTINGS[engine](kind=engine, model=str(folder))))


def start(folder: Path, engine: str) -> None:
    """What an engine does before it answers, but for vLLM's own start."""
    if engine == "transformers":
        TransformersBackend(wire.Hello("transformers", str(folder), 2048, {}))
    else:
        check_whole(read_folder(folder), read_weights(folder), None)


def outcome(folder: Path, engine: str) -> tuple[str, str]:
    """What becomes of a folder, and the reason."""
    for name, step in ((made.PLAN, plan), (made.START, start)):
        try:
            step(folder, engine)
        except RefinerError as error:
            return name, str(error)
    return made.RUNS if engine == "transformers" else made.PASSES, ""


@pytest.mark.parametrize("kind", made.KINDS)
def test_a_folder_is_run_or_refused_by_one_line_in_each_engine(kind: str, tmp_path: Path) -> None:
    build, *expected = made.KINDS[kind]
    build(tmp_path)
    found = [outcome(tmp_path, engine) for engine in SETTINGS]
    assert [name for name, _ in found] == expected
    for _, reason in found:
        assert "\n" not in reason
        assert not reason or str(tmp_path) in reason


WEIGHTS: list[tuple[str, Callable[[Path], None], str]] = [
    ("torch.compile", partial(made.wrapped, prefix="_orig_mod."), "begin with '_orig_mod.'"),
    ("peft", partial(made.wrapped, prefix="base_model.model."), "begin with 'base_model.model.'"),
    ("last byte", partial(made.truncated, share=0.999999), "is cut off: 491871 of 491872 bytes"),
    ("four bytes", partial(made.truncated, share=0.00001), r"is cut off \(4 bytes\)"),
    ("header", made.damaged, "damaged header"),
    ("AWQ", made.quantised("awq", bits=4), "transformers needs gptqmodel for it"),
    ("HQQ", made.quantised("hqq"), "transformers needs hqq for it"),
    ("mark", made.marked("tokenizer.json"), r"tokenizer\.json begins with a byte order mark"),
    ("mark", made.marked("tokenizer_config.json"), r"tokenizer_config\.json begins with a byte order mark"),
    ("broken", made.broken("generation_config.json"), r"generation_config\.json cannot be read as JSON"),
    ("broken", made.broken("special_tokens_map.json"), r"special_tokens_map\.json cannot be read as JSON"),
]


@pytest.mark.parametrize(("build", "said"), [case[1:] for case in WEIGHTS], ids=[f"{c[0]}: {c[2]}" for c in WEIGHTS])
def test_the_reason_names_what_is_wrong(build: Callable[[Path], None], said: str, tmp_path: Path) -> None:
    build(tmp_path)
    with pytest.raises(RefinerError, match=said):
        plan(tmp_path, "transformers")


def test_settings_with_a_byte_order_mark_are_read_where_no_engine_of_ours_reads_them(tmp_path: Path) -> None:
    for name in ("tokenizer_config.json", "refiner.json"):
        made.marked(name)(tmp_path)
        settings = OpenaiSettings(kind="openai", model="m", base_url="http://h/v1", refiner=str(tmp_path))
        assert plan_stage("chunk", ChunkConfig(engine=settings)).refiner.window == 768


@pytest.mark.parametrize("entry", ["../other/model.safetensors", "/etc/passwd"])
def test_an_index_names_no_file_outside_of_the_folder(entry: str, tmp_path: Path) -> None:
    made.sharded(tmp_path)
    made.edit(tmp_path, "model.safetensors.index.json", weight_map={"lm_head.weight": entry})
    with pytest.raises(RefinerError, match="outside of the folder"):
        read_weights(tmp_path)


@pytest.mark.parametrize("lost", ["lm_head.weight", "model.layers.9.mlp.up_proj.weight"])
def test_a_tensor_that_only_the_index_knows_is_missed(lost: str, tmp_path: Path) -> None:
    made.sharded(tmp_path)
    places = json.loads((tmp_path / "model.safetensors.index.json").read_text())["weight_map"]
    if lost in places:
        made.sharded(tmp_path / "other")
        file = places[lost]
        tensors = made.load_file(tmp_path / file)
        del tensors[lost]
        made.save_file(tensors, tmp_path / file, metadata={"format": "pt"})
    else:
        made.edit(tmp_path, "model.safetensors.index.json", weight_map={**places, lost: next(iter(places.values()))})
    with pytest.raises(RefinerError, match=f"names {lost}, but the files do not hold them"):
        read_weights(tmp_path)


def test_a_quantisation_that_vllm_reads_is_left_to_it(tmp_path: Path) -> None:
    for method in ("fp8", "compressed-tensors"):
        made.quantised(method)(tmp_path)
        plan(tmp_path, "vllm")
    made.quantised("bitsandbytes")(tmp_path)
    folder = read_folder(tmp_path)
    check_fit(folder, "vllm", label=None, options={"quantization": "bitsandbytes"})


OWN: list[tuple[Callable[[Path], None], dict[str, Any]]] = [
    (made.own_code, {"hf_overrides": {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}}),
    (made.short_context, {"hf_overrides": {"n_positions": 4096}}),
    (made.consolidated, {"load_format": "mistral"}),
    (made.other_shapes, {"hf_config_path": "elsewhere"}),
]


@pytest.mark.parametrize(("build", "options"), OWN, ids=[next(iter(options)) for _, options in OWN])
def test_what_options_have_vllm_read_in_another_way_is_left_to_it(
    build: Callable[[Path], None], options: dict[str, Any], tmp_path: Path
) -> None:
    build(tmp_path)
    (tmp_path / "refiner.json").write_text(
        json.dumps({"name": "m", "context": 2048, "chunk": {"template": "lines/1", "window": 1500}})
    )
    engine = VllmSettings(kind="vllm", model=str(tmp_path), options=options)
    assert plan_stage("chunk", ChunkConfig(engine=engine)).refiner.context == 2048


def test_options_at_their_defaults_leave_no_check_out(tmp_path: Path) -> None:
    made.own_code(tmp_path)
    for options in ({"load_format": "auto"}, {"load_format": "safetensors", "hf_overrides": {}}):
        with pytest.raises(RefinerError, match="brings its own code"):
            plan_stage("chunk", ChunkConfig(engine=VllmSettings(kind="vllm", model=str(tmp_path), options=options)))


def test_tasks_begin_prompts_as_the_run_was_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made.plain(tmp_path)
    section = ChunkConfig(engine=VllmSettings(kind="vllm", model=str(tmp_path)), template="prox-plain/1")
    monkeypatch.setattr("prox_spark.generation.tokens.begin_token", lambda *_: Said(7, "transformers"))
    planned = plan_stage("chunk", section)
    assert planned.prefix is not None
    assert planned.prefix[0] == 7
    monkeypatch.setattr("prox_spark.generation.tokens.begin_token", lambda *_: None)
    asker, _ = _asker(planned)
    (asked,) = asker.ask(["Home\nAbout"])
    ids = asker.request(0, asked, 0).token_ids or []
    assert tuple(ids[: len(planned.prefix)]) == planned.prefix
    assert planned.fingerprint == plan_stage("chunk", section).fingerprint


def test_code_of_a_folder_is_never_run(tmp_path: Path) -> None:
    made.known_code(tmp_path)
    start(tmp_path, "transformers")
    made.own_code(tmp_path)
    with pytest.raises(RefinerError, match="does not know mine by itself"):
        plan(tmp_path, "transformers")


def test_causal_classifiers_are_those_that_transformers_has() -> None:
    from transformers.models.auto import modeling_auto as auto

    scored, written = auto.MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES, auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    assert (set(scored) & set(written)) - set(auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES) == CAUSAL


@pytest.mark.parametrize(
    ("settings", "context"),
    [
        ({"n_positions": 256}, 256),
        ({"max_seq_len": 512}, 512),
        ({"n_ctx": 333}, 333),
        ({"max_position_embeddings": 4096, "n_ctx": 1}, 4096),
        ({"text_config": {"max_position_embeddings": 77}, "max_position_embeddings": 5}, 77),
        ({}, 2048),
    ],
)
def test_the_context_is_found_under_each_of_its_names(settings: dict[str, int], context: int, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(settings))
    assert read_folder(tmp_path).context().value == context


@pytest.mark.parametrize(
    ("settings", "context"),
    [
        ({"max_position_embeddings": 4096}, 4096),
        ({"max_position_embeddings": 4096, "text_config": {"max_position_embeddings": 8192}}, 4096),
        ({"text_config": {"max_position_embeddings": 8192}}, 2048),
        ({"n_positions": 32768}, 2048),
        ({"n_positions": 1024}, 1024),
        ({}, 2048),
    ],
)
def test_the_context_of_a_released_refiner_is_what_stored_programs_were_asked_for(
    settings: dict[str, Any], context: int, tmp_path: Path
) -> None:
    made.plain(tmp_path)
    (tmp_path / "refiner.json").unlink()
    made.edit(tmp_path, "config.json", **{"max_position_embeddings": ..., **settings})
    found = load_refiner("chunk", VllmSettings(kind="vllm", model=str(tmp_path)))
    assert found.context == context


def test_text_files_of_a_repository_are_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made.plain(tmp_path)
    asked: list[list[str]] = []

    def download(model: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append(allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    resolve_model("owner/refiner", None)
    (patterns,) = asked
    for name in ("system.txt", "merges.txt", "refiner.json", "model.safetensors"):
        assert any(fnmatch(name, pattern) for pattern in patterns), name


def test_a_window_is_shortened_to_the_context_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made.plain(tmp_path)
    (tmp_path / "refiner.json").unlink()
    for context, window in ((1024, 755), (600, 331)):
        made.edit(tmp_path, "config.json", max_position_embeddings=context)
        found = plan_stage("chunk", ChunkConfig(engine=VllmSettings(kind="vllm", model=str(tmp_path)))).refiner
        assert (found.context, found.window) == (context, window)
        assert caplog.messages[-1].endswith(f"has a context of {context} tokens: the window is {window} and not 1500")
    with pytest.raises(RefinerError, match=r"chunk\.window to \d+ or less"):
        plan_stage("chunk", ChunkConfig(engine=VllmSettings(kind="vllm", model=str(tmp_path)), window=1500))


@pytest.mark.parametrize(("engine", "config"), [("vllm", "max_position_embeddings"), ("transformers", "n_positions")])
def test_a_context_that_the_model_does_not_have_is_refused(engine: str, config: str, tmp_path: Path) -> None:
    made.plain(tmp_path)
    made.edit(tmp_path, "config.json", **{"max_position_embeddings": ..., config: 1024})
    with pytest.raises(RefinerError, match=rf"context of 2048, but the model's is 1024 \({config} in config\.json\)"):
        plan(tmp_path, engine)


def test_the_documented_table_is_the_tested_one() -> None:
    page = (Path(__file__).parents[3] / "docs" / "refiners.md").read_text(encoding="utf-8")
    rows = [line for line in page.partition("| folder | `transformers` | `vllm` |")[2].splitlines()[2:] if line]
    assert rows[: len(made.KINDS)] == [f"| {kind} | {ours} | {vllm} |" for kind, (_, ours, vllm) in made.KINDS.items()]
    assert not rows[len(made.KINDS)].startswith("|")
