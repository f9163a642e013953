"""The vocabulary of a refiner that is trained from scratch."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path


def write_tokenizer(
    folder: Path, texts: Iterable[str], vocabulary: int, special: Sequence[str], entries: Sequence[str] = ()
) -> int:
    """Train a byte-level BPE of at most ``vocabulary`` entries on ``texts``; returns its size with what is added.

    ``special`` entries are added as special tokens; ``entries`` can be decoded, but text is never encoded to them.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    # Split numbers into single digits: BPE then cannot learn a number of several digits, so these can be added.
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, byte_level]) if entries else byte_level
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<|pad|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    if entries:
        tree = json.loads(tokenizer.to_str())
        learnt = tree["model"]["vocab"]
        learnt.update({entry: len(learnt) + number for number, entry in enumerate(entries)})
        tokenizer = Tokenizer.from_str(json.dumps(tree))
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in special])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": "<|pad|>",
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    return int(tokenizer.get_vocab_size())
