import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from unrolled.config import DataConfig
from unrolled.data.examples.columns import Example
from unrolled.data.examples.labelled import load_examples, read_texts
from unrolled.data.reading.counts import Counts
from unrolled.errors import DataError

CONFIG = DataConfig()
SKIP = DataConfig(on_bad_row="skip")
PAIRS = [("good", "pos"), ("bad", "neg")]
RECORDS = [{"text": text, "label": label} for text, label in PAIRS]


class Frame:
    """A data frame as polars has it: columns is a list, a column an iterable."""

    columns = ["text", "label"]  # noqa: RUF012

    def __getitem__(self, name):
        return iter([record[name] for record in RECORDS])


@pytest.mark.parametrize(
    "data",
    [
        PAIRS,
        tuple(map(list, PAIRS)),
        (pair for pair in PAIRS),
        RECORDS,
        iter(RECORDS),
        {"text": ["good", "bad"], "label": ("pos", "neg"), "more": [1]},
        pd.DataFrame(RECORDS),
        pd.DataFrame(RECORDS, index=[7, 7]).astype({"label": "category"}),
        Frame(),
    ],
    ids=["pairs", "lists", "generator", "dictionaries", "iterator", "two lists", "pandas", "categories", "polars-like"],
)
def test_python_objects(data):
    examples = load_examples(data, CONFIG)
    assert examples.items == [Example("good", "pos", 0), Example("bad", "neg", 1)]
    assert (examples.name, examples.source) == ("data", "python objects")
    assert examples.texts() == ["good", "bad"]
    assert examples.labels() == ["pos", "neg"]
    assert examples.counts == Counts(2, 2, {})


def test_whole_numbers_and_truth_values_are_labels_by_their_json_text():
    labels = [1, True, np.int64(-3), np.str_("x"), "NA", "true", 10**30]
    examples = load_examples([("a", label) for label in labels], CONFIG)
    assert examples.labels() == ["1", "true", "-3", "x", "NA", "true", "1" + "0" * 30]
    assert all(type(label) is str for label in examples.labels())


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (("fine", None), "got null"),
        (("fine", float("nan")), "got NaN, a missing value"),
        (("fine", pd.NA), "got NA, a missing value"),
        (("fine", pd.NaT), "got NaT, a missing value"),
        (("fine", 0.37), "got the number 0.37: numbers are for --task regress"),
        ((float("nan"), "pos"), "text is expected, got NaN, a missing value"),
        ((None, "pos"), "text is expected, got null"),
        ((b"bytes", "pos"), "text is expected, got a Python bytes"),
        (("", "pos"), "the text is empty"),
        (("fine", " "), "the label is empty"),
        (("half \ud83d", "pos"), r"an unpaired surrogate"),
        ("just a text", r"a pair \(text, label\) or a dictionary is expected, got a Python str"),
        (("one",), "a pair"),
        (("one", "two", "three"), "a pair"),
        ({"text": "a", "labels": "b"}, 'no key "label".*; the keys are "text", "labels"'),
        ({}, "the keys are none"),
        (17, "got a number"),
    ],
)
def test_a_bad_object_is_named_by_its_number(item, reason):
    data = [*PAIRS, item, *PAIRS]
    with pytest.raises(DataError, match=rf"^item 2: .*{reason}"):
        load_examples(data, CONFIG)
    skipped = load_examples(data, SKIP)
    assert len(skipped) == 4
    assert skipped.counts.read == 5


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (17, "examples cannot be read from a Python int"),
        (None, "from a Python NoneType"),
        (b"text,label", "from a Python bytes"),
        ([], "there are no rows"),
        (iter(()), "there are no rows"),
        ({"text": ["a"], "label": []}, '"text" has 1 values and "label" 0'),
        ({"text": ["a"], "lable": ["b"]}, r'no column "label" \(did you mean "lable"\?\)'),
        (pd.DataFrame({"review": ["a"], 0: ["b"]}), 'no column "text"; the columns are "review"'),
        (pd.DataFrame([["a", "b", "c"]], columns=["text", "label", "text"]), "two columns are called"),
        ([("", "a"), (None, "b")], "item 0"),
    ],
)
def test_data_that_is_none(data, reason):
    with pytest.raises(DataError, match=reason):
        load_examples(data, CONFIG)


def test_text_and_label_must_be_two_columns():
    with pytest.raises(DataError, match='text and label are both read from "text"'):
        load_examples(PAIRS, DataConfig(label="text"))


def test_files_keep_name_source_and_lines(tmp_path):
    path = tmp_path / "reviews.v2.csv"
    path.write_text('label,text\npos,"good\ngood"\n\nneg,bad\n')
    examples = load_examples(path, CONFIG)
    assert examples.items == [Example("good\ngood", "pos", 2), Example("bad", "neg", 5)]
    assert (examples.name, examples.source) == ("reviews", str(path))
    assert str(examples.counts) == "3 rows read = 2 used + 1 skipped (1 blank line)"


def test_skipped_rows_are_counted_and_the_first_of_each_reason_listed(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_bytes(
        b"text\tlabel\n" + b"good\tpos\n" + b"alone\n" * 30 + b"\tpos\n\n" + b"caf\xe9\tneg\n" + b"x\tneg\n"
    )
    examples = load_examples(path, SKIP)
    assert examples.counts == Counts(35, 2, {"too few fields": 30, "empty text": 1, "blank line": 1, "not UTF-8": 1})
    assert [row.reason for row in examples.skipped] == ["too few fields"] * 5 + ["empty text", "not UTF-8"]
    assert examples.skipped[0] == (3, "too few fields", "alone", "line", "")
    path.write_bytes(b"text\tlabel\n" + b"alone\n" * 30)
    with pytest.raises(DataError, match=r"none of its rows can be used: 30 rows read = 0 used \+ 30 skipped"):
        load_examples(path, SKIP)


def test_known_labels_bind():
    assert len(load_examples(PAIRS, CONFIG, labels=("neg", "pos"))) == 2
    with pytest.raises(DataError, match=r'item 0: "pos" is not one of the 2 labels seen in training \(bad, neg\)'):
        load_examples(PAIRS, CONFIG, labels=["bad", "neg"])
    counts = load_examples(PAIRS, SKIP, labels=["neg"]).counts
    assert counts == Counts(2, 1, {"unknown label": 1})
    with pytest.raises(DataError, match=r"100 labels seen in training \(0, 1, .*19, …\)"):
        load_examples(PAIRS, CONFIG, labels=[str(i) for i in range(100)])


def test_without_labels(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,more\ngood,\nbad,\n")
    for data in (path, ["good", "bad"], PAIRS, RECORDS, [{"text": "good"}, "bad"], {"text": ["good", "bad"]}):
        examples = load_examples(data, CONFIG, need_labels=False)
        assert [(item.text, item.label) for item in examples.items] == [("good", None), ("bad", None)]
        assert examples.labels() == []
    assert read_texts(str(path), CONFIG).items == [Example("good", None, 2), Example("bad", None, 3)]
    with pytest.raises(DataError, match="item 1: a text or a dictionary is expected, got a number"):
        load_examples(["a", 5], CONFIG, need_labels=False)


def test_the_fingerprint_tells_all_lists_apart():
    def fingerprint(*pairs):
        return load_examples(pairs, CONFIG).fingerprint

    assert fingerprint(*PAIRS) == fingerprint(*PAIRS)
    lists = [
        PAIRS,
        PAIRS[::-1],
        [("goo", "dpos"), ("bad", "neg")],
        [("good", "pos")],
        [("good", "pos1:x"), ("bad", "neg")],
    ]
    assert len({fingerprint(*pairs) for pairs in lists}) == len(lists)
    assert load_examples(["good"], CONFIG, need_labels=False).fingerprint != fingerprint(("good", "-1:"))
    assert fingerprint(("é", "x")) == hashlib.sha256(b"2:\xc3\xa91:x").hexdigest()


def test_lost_rows_are_our_fault():
    with pytest.raises(AssertionError, match="rows were lost"):
        Counts(3, 1, {"blank line": 1})


def test_paths_may_be_path_like(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text("text,label\ngood,pos\n")
    monkeypatch.chdir(tmp_path)
    assert load_examples(Path("a.csv"), CONFIG).source == "a.csv"


def test_a_missing_label_of_a_data_frame_is_named_with_its_row():
    """pandas makes floats of whole numbers where one is missing: the message is about the missing one."""
    frame = pd.DataFrame({"text": ["a", "b", "c"], "label": [1, 0, None]}, index=["x", "y", "z"])
    with pytest.raises(DataError, match=r"^item 2: .*got NaN, a missing value\n  row:  index z: c"):
        load_examples(frame, CONFIG)
    assert list(load_examples(frame, SKIP).labels()) == ["1", "0"]
    with pytest.raises(DataError, match=r"^item 2: .*got NaN, a missing value\n  row:  c"):
        load_examples(frame.reset_index(drop=True), CONFIG)
    frame = pd.DataFrame({"text": ["a", pd.NA], "label": ["x", "y"]})
    with pytest.raises(DataError, match="^item 1: text is expected, got (NA|NaN), a missing value"):
        load_examples(frame, CONFIG)


def test_labels_are_brought_to_one_form():
    data = [("a", " Billing"), ("b", "BILLING"), ("c", "billing"), ("d", "Straße\u00a0")]
    for settings, labels in (
        ({}, [" Billing", "BILLING", "billing", "Straße\u00a0"]),
        ({"strip_labels": True}, ["Billing", "BILLING", "billing", "Straße"]),
        ({"fold_labels": True}, [" billing", "billing", "billing", "strasse\u00a0"]),
        ({"strip_labels": True, "fold_labels": True}, ["billing", "billing", "billing", "strasse"]),
    ):
        assert list(load_examples(data, DataConfig(**settings)).labels()) == labels
    one_form = DataConfig(strip_labels=True, fold_labels=True)
    assert len(load_examples(data, one_form, labels=["billing", "strasse"])) == 4
