"""Location of a model's files: a local folder, or a snapshot from the model hub. Unsafe weights are refused."""

import logging
import re
from pathlib import Path

from prox_spark.config.engines import ModelSettings, OpenaiSettings
from prox_spark.engines.folders import check_weights
from prox_spark.engines.folders.weights import WEIGHTS
from prox_spark.errors import RefinerError

_log = logging.getLogger(__name__)

SHIPPED = Path(__file__).parent.parent / "refiners"
"""Refiners that come with the package: a folder each, whose name is the model's name."""

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+\Z")
_WANTED = ["*.json", "tokenizer.model", "*.txt", "chat_template.jinja"]


def resolve_model(model: str, revision: str | None, *, weights: bool = True) -> Path:
    """The local folder of ``model``: itself where it is one, a refiner that ships with the package, else a download of
    that repository's ``revision``.

    Without ``weights`` the folder need not have them, and they are not downloaded.
    Raises ``RefinerError`` where it is neither, and as ``check_folder`` does.
    """
    folder = _local(model)
    if folder is None:
        if not _REPOSITORY.match(model) or Path(model).expanduser().exists():
            raise RefinerError(
                f"model {model!r} is not a folder, a model repository (owner/name) or a refiner that ships with "
                f"the package ({_shipped()})"
            )
        folder = _download(model, revision, weights)
    check_folder(folder, weights=weights)
    return folder.resolve()


def resolve_tokenizer(name: str) -> Path:
    """The local folder of a tokenizer: itself where it is one, a refiner that ships with the package, else a download of
    that repository's files without its weights.

    Raises ``RefinerError`` where it is none of these.
    """
    folder = _local(name)
    if folder is None:
        if not _REPOSITORY.match(name) or Path(name).expanduser().exists():
            raise RefinerError(f"tokenizer {name!r} is not a folder or a model repository (owner/name)")
        folder = _download(name, None, weights=False)
    return folder.resolve()


def local_folder(model: str) -> Path:
    """The folder of a model that is never downloaded. Raises ``RefinerError`` where there is none."""
    folder = _local(model)
    if folder is None:
        raise RefinerError(f"model {model!r} is not a folder or a refiner that ships with the package ({_shipped()})")
    return folder.resolve()


def _shipped() -> str:
    return ", ".join(sorted(path.name for path in SHIPPED.iterdir() if path.is_dir()))


def _local(model: str) -> Path | None:
    """The local folder of the model: the given one, or one of the package."""
    folder = Path(model).expanduser()
    shipped = SHIPPED / model
    return folder if folder.is_dir() else shipped if "/" not in model and shipped.is_dir() else None


def is_local(model: str) -> bool:
    """Whether the files of ``model`` are on this machine without a download: a folder, or a refiner of the package."""
    return _local(model) is not None


def refiner_folder(settings: ModelSettings) -> Path:
    """The local folder with an engine's refiner: tokenizer, ``refiner.json``, and the weights where it runs them itself.

    Raises ``RefinerError`` as ``resolve_model`` does.
    """
    if isinstance(settings, OpenaiSettings):
        return resolve_model(settings.refiner, settings.revision, weights=False)
    return resolve_model(settings.model, settings.revision)


def pinned(settings: ModelSettings) -> ModelSettings:
    """The same settings with the exact commit that ``revision`` of a hub repository means now.

    A branch may move between the driver's look at it and a task's: tasks get the commit.
    """
    return settings.model_copy(update={"revision": _pin_revision(settings)})


def _pin_revision(settings: ModelSettings) -> str | None:
    """The exact commit of a hub repository; a folder's revision stays as it is."""
    named = settings.refiner if isinstance(settings, OpenaiSettings) else settings.model
    if _local(named) is not None:
        return settings.revision
    # The folder of a snapshot is named after its commit.
    return refiner_folder(settings).name


def _download(model: str, revision: str | None, weights: bool) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise RefinerError(f"model {model!r}: no such folder, and huggingface_hub is not installed") from None
    _log.info("looking for %s on the model hub, revision %s", model, revision or "main")
    try:
        wanted = [*_WANTED, WEIGHTS] if weights else _WANTED
        return Path(snapshot_download(model, revision=revision, allow_patterns=wanted))
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise RefinerError(f"model {model!r}: no such folder, and it cannot be downloaded: {reason}") from error


def check_folder(folder: Path, *, weights: bool = True) -> None:
    """Refuse a model folder without safetensors (where ``weights`` are needed) or configuration.

    Raises ``RefinerError``.
    """
    if weights:
        check_weights(folder)
    if not (folder / "config.json").is_file():
        raise RefinerError(f"{folder} has no config.json")
