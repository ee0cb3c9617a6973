"""Several labels a text, in every form in which files have them."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from unrolled.config import DataConfig
from unrolled.data.examples.label_sets import label_sets, load_label_sets, multi_hot
from unrolled.errors import DataError

CONFIG = DataConfig(multi_label=True)


@pytest.mark.parametrize(
    ("value", "labels"),
    [
        ("a", ("a",)),
        ("b; a ;a;", ("a", "b")),
        ("", ()),
        (" ; ", ()),
        (None, ()),
        (math.nan, ()),
        ([], ()),
        (["b", "a", " a "], ("a", "b")),
        (("a", 1, True), ("1", "a", "true")),
        ({"a"}, ("a",)),
        (3, ("3",)),
        (np.array(["x", "y"]), ("x", "y")),
        ('["a", "b"]', ("a", "b")),
        ("['a;b', \"it's\"]", ("a;b", "it's")),
        ("[]", ()),
    ],
)
def test_labels_are_read(value: Any, labels: tuple[str, ...]) -> None:
    assert list(label_sets(load_label_sets([("a text", value)], CONFIG))) == [labels]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("[a, b]", r'"\[a, b\]" is no list of labels; write \["a", "b"\], or ";" between labels'),
        ("[" * 5000 + "]" * 5000, "is no list of labels"),
        ([1.5], "a label is text, a whole number, true or false; got the number 1.5"),
        ([["a"]], "got a list"),
        (["a", ""], "the label is empty"),
        (["\ud800"], "unpaired surrogate"),
        (2.5, "got the number 2.5"),
    ],
)
def test_other_values_are_refused(value: Any, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        load_label_sets([("a text", value)], CONFIG)


def test_unknown_labels_are_named() -> None:
    with pytest.raises(DataError, match='"c" is not one of the 2 labels seen in training'):
        load_label_sets([("a text", "a;c")], CONFIG, labels=("a", "b"))


def test_separators_and_files(tmp_path: Path) -> None:
    for separator, written in (("|", "|"), ("\\t", "\t"), (" ", " "), (", ", ", ")):
        config = DataConfig(multi_label=True, label_separator=separator)
        assert list(label_sets(load_label_sets([("a", f"x{written}y")], config))) == [("x", "y")]
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "a", "label": ["y", "x"]}) + "\n")
    (tmp_path / "a.csv").write_text("text,label\na,y;x\nb,\n")
    assert list(label_sets(load_label_sets(tmp_path / "a.jsonl", CONFIG))) == [("x", "y")]
    assert list(label_sets(load_label_sets(tmp_path / "a.csv", CONFIG))) == [("x", "y"), ()]
    frame = pandas.DataFrame({"text": ["a", "b"], "label": [["x"], ["y", "x"]]})
    frame.to_csv(tmp_path / "b.csv", index=False)
    for data in (frame, tmp_path / "b.csv"):
        examples = load_label_sets(data, CONFIG)
        assert multi_hot(examples, ("x", "y")).tolist() == [[True, False], [True, True]]
