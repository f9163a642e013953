"""Configuration: what is refused, and how overrides work."""

from pathlib import Path
from typing import Any

import pytest

from prox_spark.config import load_config
from prox_spark.errors import ConfigError

RULES = ["store=s", "chunk.engine.kind=rules"]


def test_an_unknown_key_is_refused_with_the_nearest_known_name() -> None:
    with pytest.raises(
        ConfigError, match=r"unknown key 'execution.drop_line_blow' \(did you mean 'drop_line_below'\?\)"
    ):
        load_config(None, [*RULES, "execution.drop_line_blow=0.2"])


def test_an_unknown_key_inside_an_engine_is_named_as_the_user_wrote_it() -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'chunk.engine.modle' \(did you mean 'model'\?\)"):
        load_config(None, ["store=s", "chunk.engine.kind=vllm", "chunk.engine.model=m", "chunk.engine.modle=n"])


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ConfigError, match="key 'store' is missing"):
        load_config(None, ["chunk.engine.kind=rules"])


def test_overriding_the_kind_drops_the_settings_of_the_old_engine(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("store: s\nchunk: {engine: {kind: vllm, model: m, options: {max_num_seqs: 4}}}\n")
    assert load_config(file, ["chunk.engine.kind=rules"]).chunk.engine.kind == "rules"  # type: ignore[union-attr]


def test_repeating_the_same_kind_keeps_its_settings(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("store: s\nchunk: {engine: {kind: vllm, model: m}}\n")
    assert load_config(file, ["chunk.engine.kind=vllm"]).chunk.engine.model == "m"  # type: ignore[union-attr]


def test_override_values_are_yaml() -> None:
    config = load_config(
        None, [*RULES, "input.path=[a, b]", "input.format=c4", "input.columns.doc_id=id", "document=null"]
    )
    assert config.input is not None
    assert (config.input.path, config.input.columns, config.document) == (["a", "b"], {"doc_id": "id"}, None)


@pytest.mark.parametrize(
    "path",
    ["2024", "2024-01-01", "2024-13-45", "*.jsonl", "[ab]*.json", "{a,b}.json", "a #b", "a: b", "@x", "&x", "!x", "on"],
)
def test_a_path_on_the_command_line_is_taken_as_it_is(path: str) -> None:
    config = load_config(None, [f"store={path}", f"input.path={path}", "input.format=json"])
    assert config.input is not None
    assert (config.store, config.input.path) == (path, path)


@pytest.mark.parametrize(
    ("text", "path"),
    [("'2024'", "2024"), ('"a #b"', "a #b"), ("[2024, b]", None), ("'a', b", "'a', b"), ("null", "null")],
)
def test_quotes_and_lists_are_yaml_where_the_key_takes_a_string(text: str, path: str | None) -> None:
    given = ["store=s", f"input.path={text}", "input.format=json"]
    if path is None:
        with pytest.raises(ConfigError, match=r"input.path.0: YAML reads this as a number, not as a string"):
            load_config(None, given)
    else:
        config = load_config(None, given)
        assert config.input is not None
        assert config.input.path == path


def test_null_is_null_only_where_a_key_may_be_null() -> None:
    config = load_config(None, ["store=null", "refinement=null"])
    assert (config.store, config.refinement) == ("null", None)


def test_an_empty_string_is_not_a_store() -> None:
    with pytest.raises(ConfigError, match="store: Input should be a valid string"):
        load_config(None, ["store="])


def test_names_of_columns_and_spark_properties_are_taken_as_they_are() -> None:
    given = ["store=s", "input.path=p", "input.format=json", "input.columns.text=2024", "spark.spark.driver.memory=4g"]
    config = load_config(None, given)
    assert config.input is not None
    assert (config.input.columns, config.spark) == ({"text": "2024"}, {"spark.driver.memory": "4g"})


@pytest.mark.parametrize("override", ["ingest.unit_bytes=*x", "fuse.kept_documents=[0.1"])
def test_what_is_no_string_has_to_be_yaml(override: str) -> None:
    with pytest.raises(ConfigError, match="the value is not valid YAML"):
        load_config(None, ["store=s", override])


@pytest.mark.parametrize("value", ["2024", "2024-01-01", "2024-01-01 10:00:00", "0.5"])
def test_a_path_in_a_file_that_yaml_reads_as_something_else_is_refused_with_advice(tmp_path: Path, value: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(f"store: s\ninput: {{path: {value}, format: json}}\n")
    with pytest.raises(
        ConfigError, match=r"input.path: YAML reads this as a [a-z]+, not as a string: put it in quotes$"
    ):
        load_config(file)


@pytest.mark.parametrize(
    "key", ["input.format=finewep", "adapt={name: a, output: o, task: selection, target: {path: t, format: finewep}}"]
)
def test_an_unknown_format_is_refused_with_its_key_and_the_nearest_name(key: str) -> None:
    where = key.partition("=")[0]
    with pytest.raises(ConfigError, match=rf"{where}.*: unknown format 'finewep' \(did you mean 'fineweb'\?\)"):
        load_config(None, [*RULES, "input.path=x", key])


@pytest.mark.parametrize("name", ["a b", "a/b", "a'b", "a@b", "a:b", ""])
def test_names_hold_only_letters_digits_dot_underscore_and_dash(name: str) -> None:
    with pytest.raises(ConfigError, match="only contain letters, digits"):
        load_config(None, [*RULES, f"refinement='{name.replace(chr(39), chr(39) * 2)}'"])


def test_a_document_threshold_under_the_chunk_stages_is_refused() -> None:
    with pytest.raises(ConfigError, match="have no chunk programs"):
        load_config(None, [*RULES, "chunk.min_keep_score=0.6", "execution.drop_document_below=0.5"])


def test_the_chunk_stage_reads_what_execution_keeps_unless_told_otherwise() -> None:
    assert load_config(None, [*RULES, "execution.drop_document_below=0.3"]).min_keep_score == 0.3


@pytest.mark.parametrize(
    ("text", "reason"), [("- a\n", "no keys"), ("a: [", "not valid YAML"), ("\x00", "not valid YAML")]
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=reason):
        load_config(file)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read"):
        load_config("nowhere.yaml")


def test_an_override_without_value_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot read override"):
        load_config(None, ["store"])


def test_the_shipped_configurations_load() -> None:
    for file in (Path(__file__).parents[2] / "conf").glob("*.yaml"):
        assert load_config(file).chunk is not None


def test_an_override_of_one_parameter_keeps_the_others() -> None:
    def parameters(*overrides: str) -> dict[str, Any]:
        given = [f"annotate.parameters{override}" for override in overrides]
        annotate = load_config("large-model", given).annotate
        assert annotate is not None
        return annotate.parameters

    assert parameters() == {"temperature": 0.0, "max_tokens": 1024}
    assert parameters(".top_p=0.9") == {"temperature": 0.0, "max_tokens": 1024, "top_p": 0.9}
    assert parameters(".temperature=null", ".max_tokens=null", ".max_completion_tokens=9") == {
        "max_completion_tokens": 9
    }
    assert parameters("={max_completion_tokens: 9}") == {"max_completion_tokens": 9}
    assert parameters("={}", ".top_p=0.9") == {"top_p": 0.9}
