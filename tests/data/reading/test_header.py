"""Whether the first row of a table is a header."""

import pytest

from unrolled.data.reading.header import are_measurements, header_fault, numbered

LONG = ["the film was fine", "a dull film it was", "not a dull moment"]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"text": LONG, "label": ["a", "b", "a"]}, None),
        ({"0": LONG, "1": ["0", "1", "1"]}, None),
        ({"1": LONG, "2": ["2", "1", "2"]}, None),
        ({"How was it for you?": LONG, "label": ["a", "b", "a"]}, None),
        ({"a": LONG, "b": ["x", "y", "x"], "c": ["c", "c d", "e"]}, None),
        ({"What is this": ["x", "y"], "label": ["a", "b"]}, None),
        ({"text": LONG, "a": ["a", "b", "a"]}, '"a", the name of column 2, is also a value in 2 of the first 3 rows'),
        ({"text": LONG, "4.5": ["1", "-2.0", "3e1"]}, '"4.5", the name of column 2, is a number, as all values below'),
        ({"a fine little film": LONG}, '"a fine little film", the name of column 1, is a text, as the values below it'),
        ({"Nr.": ["1", "2"], "Bem.": ["ruft zurück.", "fine"], "Bez.": ["Tasse", "Topf"]}, None),
        ({"Go.": ["Run!", "Who?"], "Va !": ["Cours !", "Qui ?"]}, '"Go.", the name of column 1, is a text'),
    ],
)
def test_faults(columns: dict[str, list[str]], reason: str | None) -> None:
    found = header_fault(columns)
    assert found is reason if reason is None else str(found).startswith(reason)


@pytest.mark.parametrize(
    ("text", "measured"), [("16.9 16.2", True), ("[1.5, 2]", True), ("3 1 4", False), ("16.9", False), ("v 1.5", False)]
)
def test_readings_of_a_sensor_are_measurements(text: str, measured: bool) -> None:
    assert are_measurements([text, text]) == measured


def test_blank_lines_between_two_columns_may_end_tagged_sentences() -> None:
    columns = {"the": ["the", "film", "the"], "DET": ["DET", "NOUN", "DET"]}
    assert "add --task tag" in str(header_fault(columns, blank_lines=True))
    assert "add --task tag" not in str(header_fault(columns))
    assert "add --task tag" not in str(header_fault(columns | {"c": ["x", "y", "z"]}, blank_lines=True))


def test_numbers_of_columns() -> None:
    assert numbered(3) == ["1", "2", "3"]
