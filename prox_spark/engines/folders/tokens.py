"""The tokenizer of a model folder: its JSON, and its special tokens as transformers finds them."""

import logging
from pathlib import Path
from typing import Any

from prox_spark.engines.folders.reading import Folder, Said
from prox_spark.errors import RefinerError

_log = logging.getLogger(__name__)

_FILE = "tokenizer.json"
OLDER = ("tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "sentencepiece.bpe.model")
"""Vocabularies in formats that transformers makes a ``tokenizer.json`` of."""


def serialised(folder: Path) -> str:
    """The tokenizer of a folder as JSON: ``tokenizer.json``, or what transformers makes of an older format.

    Raises ``RefinerError`` where there is none.
    """
    file = folder / _FILE
    if file.is_file():
        try:
            return file.read_text(encoding="utf-8-sig")
        except ValueError as error:
            raise RefinerError(f"{file} is not UTF-8: {error}") from None
    if not any((folder / name).is_file() for name in OLDER):
        raise RefinerError(f"{folder} has no tokenizer (tokenizer.json)")
    made = _transformers(folder, f"{folder} has no tokenizer.json, and transformers is not installed to make one")
    return str(made.backend_tokenizer.to_str())


def begin_token(folder: Folder, tokenizer: Any) -> Said | None:
    """The id of BOS, null where prompts have none; ``tokenizer`` is the folder's own, of the package ``tokenizers``.

    The one that the tokenizer's settings name; where they name none, the one that the tokenizer puts before a text, or that
    transformers gives the tokenizer's class.
    """
    named = _known(folder.token("bos_token"), tokenizer)
    return named or _put_before(tokenizer) or _given(folder.path, "bos_token", tokenizer)


def end_tokens(folder: Folder, tokenizer: Any) -> list[Said]:
    """The ids that end an answer: the tokenizer's EOS and all of ``config.json`` and ``generation_config.json``.

    What is beyond the model's vocabulary is left out. Where none is named, the one that transformers gives the tokenizer's class.
    """
    named = _known(folder.token("eos_token"), tokenizer)
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    found = [*([named] if named else []), *(said for said in folder.end_ids() if 0 <= said.value < _rows(folder, size))]
    given = None if found else _given(folder.path, "eos_token", tokenizer)
    return [given] if given else found


def stop_ids(folder: Folder) -> tuple[int, ...]:
    """The ids of a folder's ``end_tokens``, each once. Raises ``RefinerError`` where its tokenizer cannot be read."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_str(serialised(folder.path))
    except Exception as error:  # tokenizers raises nothing narrower
        raise RefinerError(f"{folder.path}: its tokenizer cannot be read: {error}") from error
    return tuple(sorted({said.value for said in end_tokens(folder, tokenizer)}))


def _rows(folder: Folder, size: int) -> int:
    """Tokens that the model can write: its vocabulary may be padded beyond the tokenizer's."""
    rows = folder.config.get("vocab_size")
    return rows if isinstance(rows, int) and not isinstance(rows, bool) else size


def _known(said: Said | None, tokenizer: Any) -> Said | None:
    """A named token by its id, where the vocabulary has it."""
    number = None if said is None else tokenizer.token_to_id(said.value)
    return None if said is None or number is None else Said(int(number), said.where)


def _given(folder: Path, name: str, tokenizer: Any) -> Said | None:
    """The special token that transformers has for these files; null also where it cannot make a tokenizer of them."""
    try:
        found = _transformers(folder, "it is not installed")
    except Exception as error:  # noqa: BLE001 -- transformers raises anything, and this only asks for its opinion
        _log.info("transformers gives no special tokens for %s: %s", folder, str(error).partition("\n")[0])
        return None
    number = tokenizer.token_to_id(getattr(found, name) or "")
    return None if number is None else Said(int(number), f"transformers' {type(found).__name__}")


def _transformers(folder: Path, without: str) -> Any:
    try:
        from transformers import AutoTokenizer
    except ImportError:
        raise RefinerError(without) from None
    return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)


def _put_before(tokenizer: Any) -> Said | None:
    """The one token that the tokenizer's post-processor adds, before a text; a classifier's CLS has a SEP behind it."""
    whole, bare = (tokenizer.encode("a", add_special_tokens=added).ids for added in (True, False))
    # An empty name of BOS becomes the unknown token.
    unknown = getattr(tokenizer.model, "unk_token", None)
    if not whole or whole[1:] != bare or tokenizer.id_to_token(whole[0]) == unknown:
        return None
    return Said(int(whole[0]), f"post-processor in {_FILE}")
