"""Engine settings as they come from a configuration."""

import importlib.util
import sys

import cloudpickle
import pytest
from pydantic import TypeAdapter, ValidationError

from prox_spark.config.engines import EngineSettings, RulesSettings, ScriptedSettings, VllmSettings
from prox_spark.engines.supervised.vllm_backend import check_options, environment
from prox_spark.errors import ConfigError

ADAPTER: TypeAdapter[EngineSettings] = TypeAdapter(EngineSettings)


def test_the_kind_decides_the_model() -> None:
    assert isinstance(ADAPTER.validate_python({"kind": "rules"}), RulesSettings)
    read = ADAPTER.validate_python({"kind": "vllm", "model": "m", "options": {"max_num_seqs": 8}})
    assert isinstance(read, VllmSettings)
    assert cloudpickle.loads(cloudpickle.dumps(read)) == read


@pytest.mark.parametrize("wrong", [{"kind": "oracle"}, {"kind": "vllm"}, {"kind": "rules", "model": "m"}])
def test_what_does_not_belong_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(wrong)


def test_a_misspelt_rule_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValidationError, match="did you mean 'c4_policy'"):
        ADAPTER.validate_python({"kind": "rules", "rules": ["c4_polici"]})
    with pytest.raises(ValidationError, match="unknown rule 'zebra' \\(known: "):
        ADAPTER.validate_python({"kind": "rules", "rules": ["zebra"]})


def test_scripted_answers_keep_their_types() -> None:
    read = ADAPTER.validate_python({"kind": "scripted", "answers": {"a": "keep_doc()", "b": 0.5, "c": [0.1, 0.2]}})
    assert isinstance(read, ScriptedSettings)
    assert read.answers == {"a": "keep_doc()", "b": 0.5, "c": (0.1, 0.2)}


@pytest.mark.parametrize("name", ["model", "trust_remote_code"])
def test_options_that_are_ours_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        check_options({name: "x"})


def test_a_misspelt_option_is_refused_with_the_nearest_name() -> None:
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed")
    with pytest.raises(ConfigError, match="did you mean 'gpu_memory_utilization'"):
        check_options({"gpu_memory_utilisation": 0.5})
    check_options({"gpu_memory_utilization": 0.5, "max_num_seqs": 8, "dtype": "float32", "enable_log_requests": False})
    assert "vllm" not in sys.modules


def test_what_the_user_set_in_the_environment_stays() -> None:
    assert environment({"VLLM_CPU_KVCACHE_SPACE": "7"}, "cpu")["VLLM_CPU_KVCACHE_SPACE"] == "7"
    assert environment({}, "cpu")["VLLM_CPU_KVCACHE_SPACE"] == "1"
    with_gpu = environment({}, "3")
    assert with_gpu["CUDA_VISIBLE_DEVICES"] == "3"
    assert "VLLM_CPU_KVCACHE_SPACE" not in with_gpu
