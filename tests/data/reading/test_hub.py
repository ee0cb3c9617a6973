import sys

import pytest

from unrolled.config import DataConfig
from unrolled.data.examples.labelled import load_examples
from unrolled.data.reading import hub
from unrolled.data.reading.hub import Address
from unrolled.errors import DataError

CONFIG = DataConfig()
ROWS = {"train": [("good", 1), ("bad", 0), ("odd", -1)], "test": [("fine", 1)]}


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("hub:imdb", Address("imdb")),
        ("hub:owner/name", Address("owner/name")),
        ("hub:owner/name:config", Address("owner/name", "config")),
        ("hub:owner/name:config:test", Address("owner/name", "config", "test")),
        ("hub:name::test", Address("name", None, "test")),
    ],
)
def test_an_address_is_read_and_written(text, address):
    assert Address.parse(text) == address
    assert str(address) == text


@pytest.mark.parametrize("text", ["hub:", "hub::x", "hub:a:b:c:d"])
def test_an_address_that_is_none(text):
    with pytest.raises(DataError, match="names no data set"):
        Address.parse(text)


def test_rows_are_read_with_the_names_of_their_classes(hub_library):
    requested = hub_library(ROWS, label=["neg", "pos"])
    examples = load_examples("hub:owner/small:plain:train", DataConfig(on_bad_row="skip"))
    assert [(item.text, item.label, item.line) for item in examples.items] == [("good", "pos", 1), ("bad", "neg", 2)]
    assert examples.counts.skipped == {"label is not text": 1}
    assert (examples.name, examples.source) == ("small", "hub:owner/small:plain:train")
    assert requested == [("owner/small", "plain")]
    with pytest.raises(DataError, match=r'^hub:owner/small::train, row 3, column \("label"\)|row 3: a label is text'):
        load_examples("hub:owner/small::train", CONFIG)


def test_what_is_not_there_is_named(hub_library):
    hub_library(ROWS)
    with pytest.raises(
        DataError, match=r'has no split "tests" \(did you mean "test"\?\); its splits are "train", "test"'
    ):
        load_examples("hub:small::tests", CONFIG)
    with pytest.raises(DataError, match='no column "review"; the columns are "text", "label"'):
        load_examples("hub:small::test", DataConfig(text="review"))
    hub_library({"all": [("good", 1)]})
    with pytest.raises(DataError, match=r'has no split "train"; its splits are "all"\n.*as in hub:small::all'):
        load_examples("hub:small", CONFIG)


@pytest.mark.parametrize(
    "refusal",
    [ConnectionError("Couldn't reach 'small' on the Hub"), FileNotFoundError("no small"), ValueError("no\nway")],
)
def test_what_the_library_refuses_is_told(hub_library, refusal):
    hub_library(refusal)
    with pytest.raises(
        DataError, match=rf"^hub:small: cannot be loaded: {str(refusal).splitlines()[0]}\n.*need no network"
    ) as told:
        load_examples("hub:small", CONFIG)
    assert "HF_HOME" in told.value.fix


def test_without_the_library_it_says_what_to_install(monkeypatch):
    hub._splits.cache_clear()
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"need the library datasets, which is not installed\n.*unrolled\[hub\]"):
        load_examples("hub:small", CONFIG)


def test_splits_by_other_names_and_those_that_are_not_used(hub_library):
    rows = ROWS["test"]
    hub_library({"Training": rows, "dev": rows, "unsupervised": rows, "testing": rows})
    address = Address("small")
    assert hub.splits_of(address) == {
        "train": Address("small", None, "Training"),
        "valid": Address("small", None, "dev"),
        "test": Address("small", None, "testing"),
    }
    assert hub.unused_splits(address) == ("unsupervised",)
    assert hub.unused_splits(Address("small", None, "dev")) == ()
    hub_library({"train": rows, "dev": rows, "validation": rows})
    with pytest.raises(DataError, match='"dev" and "validation" both mean the valid split'):
        hub.splits_of(address)


def test_the_split_that_is_read_is_told_where_none_was_named(hub_library, caplog):
    caplog.set_level("INFO", "unrolled")
    hub_library(ROWS)
    load_examples("hub:small", DataConfig(on_bad_row="skip"))
    assert 'hub:small: its split "train" is read; name another as in hub:small::test' in caplog.messages
    caplog.clear()
    load_examples("hub:small::train", DataConfig(on_bad_row="skip"))
    assert not any("is read" in message for message in caplog.messages)
