"""Where an engine's libraries keep compiled code: what is loaded from there runs as this user, so nobody else may write there.

TorchInductor's default is a folder of ``/tmp`` with a name that anybody can guess and make first. The others' are in the
user's home; the environment may set them elsewhere.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

from prox_spark.errors import EngineError
from prox_spark.private import check_private

_log = logging.getLogger(__name__)

_INDUCTOR, _VLLM = "TORCHINDUCTOR_CACHE_DIR", "VLLM_CACHE_ROOT"
_NAMES = {_INDUCTOR: "inductor", _VLLM: "vllm", "TRITON_CACHE_DIR": "triton", "CUDA_CACHE_PATH": "cuda"}


def private_caches(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The variables of caches that are not left to their default: as the environment sets them, TorchInductor's else below
    ``folder``. Each folder is made.

    One that is not this user's own (a cluster's profile gives all users the same) is replaced by one below ``folder``. Raises
    ``EngineError`` where that is not, either.
    """
    home = environment.get("XDG_CACHE_HOME")
    defaults = {_INDUCTOR: str(folder / _NAMES[_INDUCTOR]), **({_VLLM: f"{home}/vllm"} if home else {})}
    given = {variable: environment[variable] for variable in _NAMES if environment.get(variable)}
    found = {}
    for variable, chosen in (defaults | given).items():
        cache, ours = Path(chosen).expanduser(), folder / _NAMES[variable]
        fault = _make(cache)
        if fault is not None and cache != ours:
            _log.warning("%s: compiled code in %s cannot be trusted (%s): using %s", variable, cache, fault, ours)
            cache, fault = ours, _make(ours)
        if fault is not None:
            raise EngineError(
                f"{variable}: compiled code in {cache} cannot be trusted ({fault}); set it to a folder that belongs to you and "
                "that nobody else can write to or replace"
            ) from fault
        found[variable] = str(cache)
    return found


def _make(cache: Path) -> OSError | None:
    """Make the folder; why it is not private, where it is not."""
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_private(cache.resolve())
    except OSError as error:
        return error
    return None
