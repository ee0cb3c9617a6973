"""Every row is used, or skipped for a reason."""

import pytest

from unrolled.config import DataConfig
from unrolled.data.examples.labelled import load_examples
from unrolled.data.reading.counts import Counts, Skipped, sift, skip
from unrolled.data.reading.lines import BLANK
from unrolled.data.reading.rows import BadRow
from unrolled.errors import DataError


def make(row: str) -> tuple[str] | BadRow:
    if row == "blank":
        return BLANK
    return (row,) if row.isdigit() else BadRow(f"no {row}", DataError("is no number", line=3, row=row))


def test_rows_are_numbers_or_counted() -> None:
    numbers: list[tuple[str]] = []
    counts, skipped = sift(
        ["1", "x", "blank", "2", "x", "y"], make, numbers.append, stop=False, source="a", units="numbers"
    )
    assert numbers == [("1",), ("2",)]
    assert counts == Counts(6, 2, {"no x": 2, "blank line": 1, "no y": 1}, "numbers")
    assert str(counts) == "6 numbers read = 2 used + 4 skipped (2 no x, 1 blank line, 1 no y)"
    assert [row.row for row in skipped] == ["x", "x", "y"], "a blank line is counted, not listed"
    assert len(sift(["1", *"x" * 30, "y"], make, numbers.append, stop=False, source="a")[1]) == 6


def test_a_bad_row_stops_a_blank_one_does_not() -> None:
    numbers: list[tuple[str]] = []
    with pytest.raises(DataError, match="line 3: is no number"):
        sift(["1", "blank", "x", "2"], make, numbers.append, stop=True, source="a")
    assert numbers == [("1",)]


@pytest.mark.parametrize(
    ("rows", "problem"),
    [([], "a: there are no words"), (["x"], r"a: none of its words can be used: 1 words read = 0 used \+ 1 skipped")],
)
def test_something_must_be_left(rows: list[str], problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        sift(rows, make, lambda row: None, stop=False, source="a", units="words")


def test_what_was_used_may_be_skipped_after_all() -> None:
    assert Counts(5, 4, {"x": 1}).without({"x": 1, "y": 2}) == Counts(5, 1, {"x": 2, "y": 2})
    with pytest.raises(AssertionError, match="rows were lost"):
        Counts(3, 1, {"x": 1})


def test_rows_that_are_skipped_later_are_listed_after_those_before() -> None:
    read = load_examples([("a", "x"), ("", "x"), ("b", "y"), ("c", "z")], DataConfig(on_bad_row="skip"))
    left = skip(read, {2: "unknown label"}, lambda row, reason: Skipped(row, reason, "c"))
    assert [(each.line, each.reason) for each in left.skipped] == [(1, "empty text"), (2, "unknown label")]
    assert left.counts == Counts(4, 2, {"empty text": 1, "unknown label": 1})
    assert list(left.texts()) == ["a", "b"]
