"""Errors: one tree, and messages that are safe to print."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled import errors
from unrolled.errors import DataError, UnrolledError, excerpt, nearest


def test_all_errors_are_one_tree_and_drawn_at_its_top() -> None:
    kinds = [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")]
    assert errors.__doc__ is not None
    for kind in kinds:
        assert issubclass(kind, UnrolledError)
        assert kind.__name__ in errors.__doc__


def test_a_data_error_says_where_what_and_what_to_do() -> None:
    error = DataError(
        '"neutrl" is not a label',
        file="reviews.csv",
        line=48213,
        column=2,
        column_name="label",
        row='"fine, but","neutrl"',
        fix="correct the row",
    )
    assert str(error) == (
        'reviews.csv, line 48213, column 2 ("label"): "neutrl" is not a label\n'
        '  row:  "fine, but","neutrl"\n'
        "  fix:  correct the row"
    )
    assert str(DataError("nothing there")) == "nothing there"
    assert str(DataError("empty", file="a.csv")) == "a.csv: empty"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("né 中", "né 中"),
        ("a\tb\x1b[31m", "a\\tb\\x1b[31m"),
        ("half \ud800", "half \\ud800"),
        ("x" * 100, "x" * 79 + "…"),
    ],
)
def test_an_excerpt(text: str, shown: str) -> None:
    assert excerpt(text) == shown


@given(st.text(st.characters()), st.integers(1, 90))
def test_an_excerpt_is_one_printable_line_of_bounded_length(text: str, most: int) -> None:
    shown = excerpt(text, most)
    assert shown.isprintable()
    assert len(shown) <= most
    shown.encode()


def test_the_nearest_word() -> None:
    assert nearest("hiden_size", ["hidden_size", "row"]) == ' (did you mean "hidden_size"?)'
    assert nearest("zzz", ["hidden_size"]) == ""
