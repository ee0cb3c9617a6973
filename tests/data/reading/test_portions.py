"""Portions of a file hold its rows, each once, whatever stands in quotes."""

import csv
import gzip
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.data.reading import portions
from unrolled.data.reading.csv_tsv import read_table, rows_below
from unrolled.data.reading.lines import Lines, open_lines
from unrolled.data.reading.portions import portions_of_lines
from unrolled.data.reading.rows import BadRow
from unrolled.data.reading.separators import CSV
from unrolled.errors import DataError

FIELDS = st.text(st.sampled_from('ab",\n;é '), max_size=8)
ROWS = st.lists(st.tuples(FIELDS, FIELDS), max_size=12)


def shown(row: Any, line: int) -> tuple[Any, ...]:
    return (line, row.reason) if isinstance(row, BadRow) else (row.line, *row.values)


def in_portions(path: Path, rows: int, before: int = 1) -> list[tuple[Any, ...]]:
    found = []
    for portion in portions_of_lines(path, rows, before=before, separator=","):
        lines = Lines(io.BufferedReader(io.BytesIO(portion.data)), "file", portion.start - 1)
        found += [shown(row, lines.start) for row in rows_below(lines, ("a", "b"), ("a", "b"), CSV)]
    return found


def whole(path: Path) -> list[tuple[Any, ...]]:
    with open_lines(path, "file") as lines:
        return [shown(row, lines.start) for row in read_table(lines, ("a", "b"), CSV)]


@given(
    rows=ROWS, size=st.integers(1, 5), broken=st.sampled_from(["", 'x "y" z,1\n', 'a"b,c\n', '"a"b,c\n', "\n", "1\n"])
)
def test_a_table_with_quotes_is_cut_between_rows(
    rows: list[tuple[str, str]], size: int, broken: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("portions") / "file.csv"
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n" if size == 2 else "\n")
    writer.writerow(["a", "b"])
    for i, row in enumerate(rows):
        writer.writerow(row)
        file.write(broken * (i % 3 == 0))
    path.write_bytes(file.getvalue().encode())
    assert in_portions(path, size) == whole(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_portions_are_utf_8(encoding: str, tmp_path: Path) -> None:
    text = 'a,b\n1,é\n"2\n3",ü\n4,ß'
    (tmp_path / "file.csv.gz").write_bytes(gzip.compress(text.encode(encoding)))
    found = list(portions_of_lines(tmp_path / "file.csv.gz", 1, before=1, separator=","))
    assert [(each.start, each.data.decode()) for each in found] == [(2, "1,é\n"), (3, '"2\n3",ü\n'), (5, "4,ß")]
    assert found[-1].position == (tmp_path / "file.csv.gz").stat().st_size


def test_a_portion_of_long_rows_has_fewer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portions, "BYTES", 10)
    (tmp_path / "file.txt").write_text("short\n" * 3 + "much longer\n" + "end\n")
    assert [each.data.count(b"\n") for each in portions_of_lines(tmp_path / "file.txt", 100)] == [2, 2, 1]


@pytest.mark.parametrize(("text", "before"), [("", 0), ("a,b\n", 1)])
def test_a_file_without_rows_has_one_portion(text: str, before: int, tmp_path: Path) -> None:
    (tmp_path / "file.csv").write_text(text)
    (portion,) = portions_of_lines(tmp_path / "file.csv", 10, before=before)
    assert portion.data == b""


def test_a_quote_that_is_never_closed_takes_a_bounded_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portions, "MOST_BYTES", 100)
    (tmp_path / "file.csv").write_text('a,b\n1,"never\n' + "closed\n" * 200)
    first = next(portions_of_lines(tmp_path / "file.csv", 1, before=1, separator=","))
    assert 100 < len(first.data) < 120
    with pytest.raises(DataError, match="never closed"):
        in_portions(tmp_path / "file.csv", 1)
