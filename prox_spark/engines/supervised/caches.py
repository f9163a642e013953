"""Where an engine's libraries keep compiled code: what is loaded from there runs as this user, so nobody else may write there.

TorchInductor's default is a folder of ``/tmp`` with a name that anybody can guess and make first. The others' are in the
user's home; the environment may set them elsewhere.
"""

from collections.abc import Mapping
from pathlib import Path

from prox_spark.errors import EngineError
from prox_spark.private import check_private

_INDUCTOR, _VLLM = "TORCHINDUCTOR_CACHE_DIR", "VLLM_CACHE_ROOT"
_OTHERS = ("TRITON_CACHE_DIR", "CUDA_CACHE_PATH")


def private_caches(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The variables of caches that are not left to their default: as the environment sets them, TorchInductor's else below
    ``folder``. Each folder is made.

    Raises ``EngineError`` for one that is not this user's own.
    """
    home = environment.get("XDG_CACHE_HOME")
    defaults = {_INDUCTOR: str(folder / "inductor"), **({_VLLM: f"{home}/vllm"} if home else {})}
    given = {variable: environment[variable] for variable in (_INDUCTOR, _VLLM, *_OTHERS) if environment.get(variable)}
    found = {}
    for variable, chosen in (defaults | given).items():
        cache = Path(chosen).expanduser()
        try:
            cache.mkdir(mode=0o700, parents=True, exist_ok=True)
            check_private(cache.resolve())
        except OSError as error:
            raise EngineError(
                f"{variable}: compiled code in {cache} cannot be trusted ({error}); set it to a folder that belongs to you and "
                "that nobody else can write to or replace"
            ) from error
        found[variable] = str(cache)
    return found
