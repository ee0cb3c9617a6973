import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.config import DataConfig
from unrolled.data.report.checks import TextRepeats
from unrolled.data.splits.labelled import load_splits
from unrolled.data.splitting import fold
from unrolled.errors import ConfigError, DataError

CONFIG = DataConfig()
MANY = [(f"text {i}", "ab"[i % 2]) for i in range(2000)]


def splits_of(data, config=CONFIG):
    return {name: {item.text for item in split.items} for name, split in load_splits(data, config).named().items()}


def test_shares_are_met_and_said():
    splits = load_splits(MANY, CONFIG)
    assert splits.labels == ("a", "b")
    assert splits.how == "python objects split by text: train 80 %, valid 10 %, test 10 %, seed 0"
    assert 160 < len(splits.valid) < 240
    assert 160 < len(splits.test) < 240
    assert sum(map(len, splits.named().values())) == 2000
    assert [loaded.counts.read for loaded in splits.loaded] == [2000]


def test_another_seed_is_another_split():
    assert splits_of(MANY) != splits_of(MANY, DataConfig(split_seed=1))


def test_a_text_stays_where_it_is_when_rows_come_go_or_move():
    whole = splits_of(MANY)
    shuffled = random.Random(0).sample(MANY, len(MANY))
    assert splits_of(shuffled) == whole
    assert splits_of(MANY[:1000] + MANY[:1000]) == {
        name: {text for text in texts if int(text[5:]) < 1000} for name, texts in whole.items()
    }


def test_the_test_split_does_not_depend_on_the_validation_part(tmp_path):
    valid = tmp_path / "valid.csv"
    valid.write_text("text,label\nmore,a\n")
    whole = splits_of(MANY)
    assert splits_of(MANY, DataConfig(valid_fraction=0.3))["test"] == whole["test"]
    assert splits_of(MANY, DataConfig(valid=str(valid)))["test"] == whole["test"]


@given(
    st.lists(st.sampled_from(["A b", "a  B", "c", "d", "e ", "E", "f", "g\nh", "G H"]), min_size=5), st.integers(0, 9)
)
@settings(max_examples=100)
def test_equal_texts_never_straddle(texts, seed):
    data = [(text, label) for text in texts for label in ("x", "y")]
    if len(set(map(fold, texts))) < 4:
        return
    splits = load_splits(data, DataConfig(split_seed=seed))
    folded = [{fold(text) for text in split.texts()} for split in splits.named().values()]
    assert not folded[0] & folded[1]
    assert not folded[0] & folded[2]
    assert not folded[1] & folded[2]
    assert all(folded)
    assert not any(
        count for where, count in TextRepeats(splits.named(), splits.labels).counts().items() if " in " in where
    )


def test_a_handful_of_rows_leaves_no_split_empty():
    for seed in range(300):
        data = [(f"{seed} {i}", label) for i in range(4) for label in ("a", "b")]
        splits = load_splits(data, DataConfig(split_seed=seed))
        assert all(len(split) for split in splits.named().values())


def test_no_share_no_test_split():
    splits = load_splits(MANY, DataConfig(test_fraction=0))
    assert len(splits.test) == 0
    assert "train 90 %, valid 10 %, seed" in splits.how


@pytest.fixture
def files(tmp_path):
    def write(**texts):
        paths = {}
        for name, text in texts.items():
            paths[name] = tmp_path / f"{name}.csv"
            paths[name].write_text("text,label\n" + text)
        return paths

    return write


def test_splits_from_files(files):
    paths = files(main="".join(f"{text},{label}\n" for text, label in MANY), valid="v,a\nTEXT  1,b\n", test="t,b\n")
    held_out = {name: str(paths[name]) for name in ("valid", "test")}
    splits = load_splits(paths["main"], DataConfig(**held_out))
    assert [len(split) for split in splits.named().values()] == [2000, 2, 1]
    assert splits.how == f"train is all of {paths['main']}; valid is {held_out['valid']}, test is {held_out['test']}"
    assert TextRepeats(splits.named(), splits.labels).counts()["valid in train"] == 1
    assert [loaded.source for loaded in splits.loaded] == [str(path) for path in paths.values()]
    splits = load_splits(paths["main"], DataConfig(test=held_out["test"]))
    assert len(splits.test) == 1
    assert 160 < len(splits.valid) < 240
    assert len(splits.train) + len(splits.valid) == 2000


def test_a_sample_keeps_its_splits():
    splits = load_splits("sample:products", CONFIG)
    assert [len(split) for split in splits.named().values()] == [2553, 237, 153]
    assert splits.labels == ("negative", "positive")
    assert splits.how == "the fixed splits of sample:products"
    assert splits.train.name == "products"
    assert TextRepeats(splits.named(), splits.labels).counts()["within train"] == 7
    splits = load_splits("sample:products", DataConfig(test="sample:films/test"))
    assert len(splits.test) == 495
    assert len(load_splits("sample:products/train", CONFIG).train) < 2553


def test_a_data_set_of_the_hub_keeps_the_splits_that_it_has(hub_library):
    hub_library({"train": MANY, "test": [("x", "b")]})
    splits = load_splits("hub:small", CONFIG)
    assert [len(split) for split in (splits.train, splits.test)] == [2000 - len(splits.valid), 1]
    assert 160 < len(splits.valid) < 240
    assert splits.how == "hub:small::train split by text: train 90 %, valid 10 %, seed 0; test is hub:small::test"
    hub_library({"train": MANY, "validation": MANY[:9], "test": MANY[:5], "unsupervised": []})
    splits = load_splits("hub:small:plain", CONFIG)
    assert [len(split) for split in splits.named().values()] == [2000, 9, 5]
    assert splits.how == "the fixed splits of hub:small:plain"
    assert len(load_splits("hub:small:plain:test", DataConfig(valid_fraction=0.4)).train) < 5


def test_what_cannot_be_split(files):
    with pytest.raises(DataError, match="the validation split has no rows"):
        load_splits(MANY, DataConfig(valid_fraction=0))
    with pytest.raises(ConfigError, match=r"must leave something to train on: got 0.5 and 0.5"):
        load_splits(MANY, DataConfig(valid_fraction=0.5, test_fraction=0.5))
    with pytest.raises(DataError, match="2 different texts are too few"):
        load_splits([("a", "x"), ("A ", "y"), ("b", "y")], CONFIG)
    with pytest.raises(DataError, match=r'one class only: "a \(.*" \(4 rows\)') as caught:
        load_splits([(text, "a (\x1b") for text in "uvwxyz"], CONFIG)
    assert "\x1b" not in str(caught.value)


def test_a_label_that_never_occurs_in_training(files):
    train = "".join(f"{text},{label}\n" for text, label in MANY[:100])
    paths = files(main=train, valid="ok,a\n\nodd,c\n")
    with pytest.raises(DataError, match=r'valid.csv, line 4, column 2 \("label"\): "c" is not one of the 2 labels'):
        load_splits(paths["main"], DataConfig(valid=str(paths["valid"])))
    skipping = load_splits(paths["main"], DataConfig(valid=str(paths["valid"]), on_bad_row="skip"))
    assert skipping.valid.counts.skipped == {"blank line": 1, "unknown label": 1}


def test_a_rare_label_that_the_split_keeps_from_training(files):
    test_text = sorted(splits_of(MANY[:200])["test"])[0]
    rows = [(text, "rare" if text == test_text else label) for text, label in MANY[:200]]
    where = next(i for i, (text, _) in enumerate(rows) if text == test_text)
    with pytest.raises(DataError, match=rf'^item {where}: "rare" is not one .*\(a, b\), and this row is in the test'):
        load_splits(rows, CONFIG)
    path = files(main="".join(f"{text},{label}\n" for text, label in rows))["main"]
    with pytest.raises(DataError, match=rf'main.csv, line {where + 2}: "rare" is not one'):
        load_splits(path, CONFIG)
    splits = load_splits(rows, DataConfig(on_bad_row="skip"))
    assert splits.labels == ("a", "b")
    assert splits.test.counts.skipped == {"unknown label": 1}
    assert splits.test.skipped == [(where, "unknown label", test_text, "item", "")]
    assert test_text not in splits.test.texts()
