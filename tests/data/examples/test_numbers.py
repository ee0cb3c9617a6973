"""Numbers of texts: read in every form that has one meaning, refused with the remedy."""

import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from small import write_csv
from unrolled.config import DataConfig
from unrolled.data.examples.numbers import load_numbers, numbers_of
from unrolled.errors import DataError

CONFIG = DataConfig()


@pytest.mark.parametrize(
    ("value", "stored", "number"),
    [
        ("4", "4", 4),
        (" 4.50 ", "4.5", 4.5),
        ("-.5", "-0.5", -0.5),
        ("+7.", "7", 7),
        ("1E3", "1000", 1000),
        ("-0", "0", 0),
        ("0.1", "0.1", 0.1),
        ("1e-30", "1e-30", 1e-30),
        (3, "3", 3),
        (2.5, "2.5", 2.5),
        (np.float32(0.5), "0.5", 0.5),
        (np.int8(-3), "-3", -3),
        (Decimal("1.10"), "1.1", 1.1),
        (Fraction(1, 4), "0.25", 0.25),
    ],
)
def test_a_number_is_read(value: Any, stored: str, number: float) -> None:
    examples = load_numbers([("a text", value)], CONFIG)
    assert list(examples.labels()) == [stored]
    assert numbers_of(examples).tolist() == [number]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("1,5", 'got "1,5"; add --decimal , if the comma separates decimals\n'),
        ("-,5", "add --decimal , if the comma"),
        ("1.234,56", "write 1234.56 if the comma separates decimals\n"),
        ("1,234.5", "write 1234.5\n"),
        ("1,234", "add --decimal , if the comma separates decimals, or write 1234 if it separates thousands"),
        ("1,234,567", "write 1234567\n"),
        ("\u22123", 'write the sign as "-": -3'),
        ("good", "labels that are classes are for --task classify"),
        ("4 stars", "a number is expected, as 4, -0.5 or 1e3; got"),
        ("1_000", "a number is expected"),
        ("\u0664", "a number is expected"),
        ("0x10", "a number is expected"),
        ("nan", "only finite numbers can be learned"),
        ("-Infinity", "only finite numbers can be learned"),
        ("N/A", "only finite numbers can be learned"),
        ("", "the label is empty, and a number is expected"),
        (None, "the label is empty"),
        (math.nan, "the label is NaN, a missing number"),
        (np.float32("nan"), "the label is NaN"),
        (Decimal("sNaN"), "a number is expected"),
        (math.inf, "beyond 1e100"),
        ("1e400", "beyond 1e100"),
        (10**400, "beyond 1e100"),
        (True, "got true or false"),
        ([1], "got a list"),
        (1j, "got a Python complex"),
    ],
)
def test_anything_else_is_refused(value: Any, problem: str) -> None:
    with pytest.raises(DataError, match=problem) as caught:
        load_numbers([("fine", 1), ("a text", value)], CONFIG)
    assert caught.value.line == 1
    skipped = load_numbers([("fine", 1), ("a text", value)], DataConfig(on_bad_row="skip"))
    assert (len(skipped), skipped.counts.used) == (1, 1)


def test_a_file_and_a_data_frame(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [("fine", "4"), ("dull", '"1,5"')], header="says,stars")
    with pytest.raises(DataError, match=r'line 3, column 2 \("stars"\): a number is expected.*--decimal ,'):
        load_numbers(path, DataConfig(text="says", label="stars"))
    frame = pandas.DataFrame({"text": ["a b", "c d"], "label": [1.5, 2]})
    assert numbers_of(load_numbers(frame, CONFIG)).tolist() == [1.5, 2]


def test_equal_numbers_have_one_fingerprint() -> None:
    first, second = (load_numbers([("a", one), ("b", 2)], CONFIG) for one in ("1.50", 1.5))
    assert first.fingerprint == second.fingerprint
