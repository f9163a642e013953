"""Token shards as a stream: what a sequence is, in which order they come, and which folders are refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pretraining_helpers import texts, write_shards

from prox_spark.errors import TrainingError
from prox_spark.pretraining.data import Order, check_budget, open_shards


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same documents in one shard and in five."""
    root = tmp_path_factory.mktemp("shards")
    return write_shards(root / "one", texts(60), 1), write_shards(root / "five", texts(60), 5)


def test_the_stream_is_all_documents_with_their_ends_wherever_shards_begin(folders: tuple[Path, Path]) -> None:
    one, five = map(open_shards, folders)
    whole = np.load(folders[0] / "tokens-00000.npy")

    assert one.tokens == five.tokens == len(whole)
    assert len(five.arrays) == 5
    assert (whole == one.end).sum() == 60
    for start, stop in (
        (0, one.tokens),
        (0, 1),
        (one.tokens - 3, one.tokens),
        (int(five.starts[1]) - 2, int(five.starts[3]) + 1),
    ):
        assert five.read(start, stop).tolist() == whole[start:stop].tolist()


def test_a_pass_predicts_every_token_once_in_an_order_that_only_seed_and_pass_change(
    folders: tuple[Path, Path],
) -> None:
    one, five = map(open_shards, folders)
    order = Order(five, 16, 3)
    count = order.sequences
    rows = order.batch(0, count)

    assert rows.shape == (count, 17)
    stream = five.read(0, count * 16 + 1)
    targets = sorted(map(tuple, rows[:, 1:].tolist()))
    assert targets == sorted(tuple(stream[start + 1 : start + 17].tolist()) for start in range(0, count * 16, 16))
    assert sorted(order.place(number) for number in range(count)) == list(range(count))
    assert rows.tolist() == Order(one, 16, 3).batch(0, count).tolist()
    assert order.batch(3, 7).tolist() == rows[3:7].tolist()
    second, other = order.batch(count, 2 * count), Order(five, 16, 4).batch(0, count)
    assert (
        sorted(map(tuple, second.tolist())) == sorted(map(tuple, rows.tolist())) == sorted(map(tuple, other.tolist()))
    )
    assert second.tolist() != rows.tolist() != other.tolist()


def test_a_corpus_smaller_than_the_budget_is_refused_with_both_numbers(folders: tuple[Path, Path]) -> None:
    order = Order(open_shards(folders[0]), 16, 0)
    held = order.sequences * 16
    check_budget(order, held, 1.0)
    check_budget(order, 3 * held, 3.0)
    with pytest.raises(
        TrainingError, match=rf"has {order.shards.tokens:,} tokens .* asks for {held + 1:,} in at most 1 passes"
    ):
        check_budget(order, held + 1, 1.0)
    with pytest.raises(TrainingError, match="no sequence"):
        check_budget(Order(order.shards, 10**9, 0), 1, 4.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens": 5}, "says 5 tokens, but its shards have"),
        ({"files": [{"name": "tokens-00000.npy", "tokens": 7}]}, "says 7 token ids"),
        ({"files": [{"name": "gone.npy", "tokens": 7}]}, "gone.npy: cannot be read"),
        ({"files": []}, "its shards have 0"),
        ({"tokenizer": {"vocabulary": 99, "end_token_id": 1}}, "the shards' manifest.json says 99"),
        ({"tokenizer": {"vocabulary": 1}}, "KeyError: 'end_token_id'"),
    ],
)
def test_shards_that_do_not_fit_their_manifest_are_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        open_shards(write_shards(tmp_path / "s", texts(5), 1, **change))


def test_a_folder_that_is_no_export_is_told_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no manifest.json \(No such file.*`export --format tokens`"):
        open_shards(tmp_path)
    (tmp_path / "manifest.json").write_text("[1]")
    with pytest.raises(TrainingError, match="not a manifest of token shards"):
        open_shards(tmp_path)


def test_pickled_arrays_and_ids_out_of_range_are_refused(tmp_path: Path) -> None:
    folder = write_shards(tmp_path / "s", texts(5), 1)
    tokens = json.loads((folder / "manifest.json").read_text())["tokens"]
    np.save(folder / "tokens-00000.npy", np.full(tokens, 60_000, np.uint16))
    with pytest.raises(TrainingError, match="token id 60000 between tokens 0 and 4"):
        open_shards(folder).read(0, 4)
    np.save(folder / "tokens-00000.npy", np.array([{}] * tokens, object), allow_pickle=True)
    with pytest.raises(TrainingError, match="cannot be read as token ids"):
        open_shards(folder)


def test_the_refinement_is_named_as_sql_takes_it_and_raw_documents_have_none(tmp_path: Path) -> None:
    refined = open_shards(write_shards(tmp_path / "a", texts(5), 1, refinement="mine", version=3, raw=False))
    raw = open_shards(write_shards(tmp_path / "b", texts(5), 1, refinement="mine", version=3, raw=True))
    assert (refined.refinement, raw.refinement) == ("mine:3", None)


def test_a_token_that_only_the_settings_name_makes_no_other_tokenizer(tmp_path: Path) -> None:
    folder = write_shards(tmp_path / "shards", texts(20))
    file = folder / "tokenizer" / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"pad_token": "[NEVER SEEN]"}))
    assert open_shards(folder).tokens > 0
