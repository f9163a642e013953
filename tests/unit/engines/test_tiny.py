"""The tiny model that is built on the spot."""

from pathlib import Path

from prox_spark.engines.tiny import build_tiny_model
from prox_spark.generation.model_refiner import folder_digests


def test_the_same_texts_and_seed_give_the_same_files(tmp_path: Path) -> None:
    texts = ["A page of a few words, and a few more."]
    first, second, other = (
        build_tiny_model(tmp_path / name, texts, seed=seed) for name, seed in zip("abc", (0, 0, 1), strict=True)
    )
    assert folder_digests(first) == folder_digests(second) != folder_digests(other)
    assert not list(first.glob("*.bin"))
