"""Folders of compiled code that an engine loads: the user's own, or it makes one."""

from pathlib import Path

import pytest

from prox_spark.engines.supervised import caches
from prox_spark.errors import EngineError


def test_compiled_code_is_only_loaded_from_folders_of_the_user(tmp_path: Path) -> None:
    own = tmp_path / "own"
    found = caches.private_caches({"TRITON_CACHE_DIR": str(own), "XDG_CACHE_HOME": str(tmp_path)}, tmp_path / "ours")
    assert found == {
        "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "ours" / "inductor"),
        "VLLM_CACHE_ROOT": str(tmp_path / "vllm"),
        "TRITON_CACHE_DIR": str(own),
    }
    assert own.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("variable", "name"),
    [
        ("TORCHINDUCTOR_CACHE_DIR", "inductor"),
        ("TRITON_CACHE_DIR", "triton"),
        ("VLLM_CACHE_ROOT", "vllm"),
        ("CUDA_CACHE_PATH", "cuda"),
    ],
)
def test_a_cache_that_all_users_are_given_is_replaced_by_ones_own(
    variable: str, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ours, open_to_all = tmp_path / "ours", tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    for given in (open_to_all, open_to_all / "inside"):
        assert caches.private_caches({variable: str(given)}, ours)[variable] == str(ours / name)
        assert f"{variable}: compiled code in {given} cannot be trusted" in caplog.messages[-1]
    with pytest.raises(EngineError, match=r"compiled code in .* cannot be trusted"):
        caches.private_caches({variable: str(open_to_all)}, open_to_all)
