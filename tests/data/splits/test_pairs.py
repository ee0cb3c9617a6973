"""Splits of pairs, by source."""

from pathlib import Path

import pytest

from small import written
from unrolled.config import DataConfig
from unrolled.data.splits.pairs import split_pairs
from unrolled.errors import DataError

CONFIG = DataConfig()
MANY = [(f"source {i % 300}", f"target {i}") for i in range(600)]


def test_equal_sources_stay_together_and_nothing_is_lost() -> None:
    found = split_pairs(MANY, CONFIG)
    splits = found.named()
    assert found.how == "python objects split by source: train 80 %, valid 10 %, test 10 %, seed 0"
    assert sorted(pair[:2] for split in splits.values() for pair in split.items) == sorted(MANY)
    sources = {name: set(split.sources()) for name, split in splits.items()}
    assert not sources["train"] & sources["valid"] | sources["train"] & sources["test"]
    assert all(len(targets) == 2 for split in splits.values() for targets in split.references().values())
    shouted = [(source.upper(), target) for source, target in MANY]
    assert [len(split) for split in split_pairs(MANY + shouted, CONFIG).named().values()] == [
        2 * len(split) for split in splits.values()
    ]


def test_splits_of_their_own(tmp_path: Path) -> None:
    valid = written(tmp_path / "v.csv", "source,target\na,b\n")
    splits = split_pairs(MANY, DataConfig(valid=str(valid), test_fraction=0))
    assert {name: len(split) for name, split in splits.named().items()} == {"train": 600, "valid": 1, "test": 0}
    assert splits.how == f"train is all of python objects; valid is {valid}"
    with pytest.raises(DataError, match="the validation split has no rows"):
        split_pairs(MANY, DataConfig(valid_fraction=0))
    with pytest.raises(DataError, match="2 different sources are too few"):
        split_pairs([("a", "x"), ("b", "y"), ("A", "z")], CONFIG)


def test_a_sample_has_its_splits() -> None:
    splits = split_pairs("sample:letters", CONFIG)
    assert {name: len(split) for name, split in splits.named().items()} == {
        "train": 120_059,
        "valid": 6_846,
        "test": 6_762,
    }
    assert splits.how == "the fixed splits of sample:letters"
    assert max(len(found) for found in splits.test.references().values()) > 2
