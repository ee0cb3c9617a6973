"""Folds of a cross-validation: each example is tested once, equal texts together, and validation is of the rest."""

from collections import Counter
from pathlib import Path

import pytest

from small import pairs, pictures, sentences, translations, write_csv
from unrolled.config import DataConfig, from_flat
from unrolled.data.splits.images import load_image_splits
from unrolled.data.splits.labelled import load_splits
from unrolled.data.splits.pairs import split_pairs
from unrolled.data.splits.sentences import split_sentences
from unrolled.errors import ConfigError, DataError


@pytest.mark.parametrize("folds", [2, 3, 7])
def test_every_text_is_tested_exactly_once(folds: int) -> None:
    rows = [*pairs(300), *((text.upper(), label) for text, label in pairs(300)[:40])]
    tested: Counter[str] = Counter()
    for fold in range(1, folds + 1):
        splits = load_splits(rows, DataConfig(folds=folds, fold=fold, split_seed=5))
        named = {name: {text.lower() for text in split.texts()} for name, split in splits.named().items()}
        assert not named["test"] & (named["train"] | named["valid"])
        assert not named["valid"] & named["train"]
        assert sum(map(len, splits.named().values())) == len(rows)
        assert len(splits.test) == pytest.approx(len(rows) / folds, rel=0.35)
        assert 0.05 < len(splits.valid) / len(rows) < 0.17
        assert splits.how.endswith(f"seed 5; test is fold {fold} of {folds}")
        tested.update(splits.test.texts())
    assert tested == Counter(text for text, _ in rows)


def test_the_folds_depend_on_the_seed_and_not_on_the_order() -> None:
    def test_of(rows: list[tuple[str, str]], seed: int) -> set[str]:
        return set(load_splits(rows, DataConfig(folds=4, fold=2, split_seed=seed)).test.texts())

    assert test_of(pairs(100), 0) == test_of(pairs(100)[::-1], 0)
    assert test_of(pairs(100), 0) != test_of(pairs(100), 1)


def test_all_data_that_are_split_by_hash_have_folds() -> None:
    configs = [DataConfig(folds=2, fold=fold, label="UPOS") for fold in (1, 2)]
    assert sum(len(split_sentences(sentences(), config).test) for config in configs) == len(sentences())
    assert sum(len(split_pairs(translations(), config).test) for config in configs) == len(translations())
    images = [DataConfig(folds=2, fold=fold, by="row") for fold in (1, 2)]
    assert sum(len(load_image_splits(pictures(), config).test) for config in images) == len(pictures()[0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"folds": 1}, "folds should be greater than or equal to 2"),
        ({"fold": 2}, "fold needs the number of folds: got 2; add folds"),
        ({"folds": 3, "fold": 4}, "fold must be from 1 to folds, 3: got 4"),
        (
            {"folds": 3, "test_fraction": 0.2},
            "test_fraction has no use with folds, which are the test splits: remove one of them",
        ),
        ({"folds": 10**9}, r"folds should be less than or equal to 1000 \(each is a training\)"),
    ],
)
def test_wrong_numbers_are_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_flat(settings)


def test_data_with_a_test_split_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"folds make the test split, and sample:films is one already"):
        load_splits("sample:films", DataConfig(folds=3, fold=1))
    test = write_csv(tmp_path / "test.csv")
    with pytest.raises(ConfigError, match=r"folds make the test split, and \S+test.csv is one already"):
        load_splits(pairs(), DataConfig(folds=3, fold=1, test=str(test)))
    with pytest.raises(ConfigError, match="must leave something to train on"):
        load_splits(pairs(), DataConfig(folds=2, fold=1, valid_fraction=0.5))


def test_too_few_examples_are_refused_since_each_is_tested_once() -> None:
    with pytest.raises(DataError, match=r"12 different texts are too few for 20 folds\n  fix:  give more"):  # noqa: PT012
        for fold in range(1, 21):
            load_splits(pairs(40)[:12], DataConfig(folds=20, fold=fold))
