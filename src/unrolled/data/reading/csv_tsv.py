"""Rows of CSV and TSV files.

- `.csv`   comma-separated with a header, quoted as in RFC 4180: a quoted field may hold commas and line ends,
           and a quote in it is doubled. Read strictly by Python's `csv`.
- `.tsv`   tab-separated with a header, as registered with IANA: no quoting, so a quote is a character like
           any other, and a field holds neither tab nor line end.

A quote that is never closed and a header without the columns make the rest of the file meaningless, and are raised.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence

from unrolled.data.reading.lines import BLANK, Lines
from unrolled.data.reading.rows import SKIP, BadRow, Location, Row, Rows, pick
from unrolled.errors import DataError

__all__ = ["columns_of_csv", "columns_of_tsv", "read_csv", "read_tsv"]


def read_csv(lines: Lines, columns: Sequence[str]) -> Rows:
    """Yield the rows of a CSV file with the values of `columns`."""
    return _table(lines, _csv_fields(lines), columns)


def read_tsv(lines: Lines, columns: Sequence[str]) -> Rows:
    """Yield the rows of a TSV file with the values of `columns`."""
    return _table(lines, _tsv_fields(lines), columns)


def columns_of_csv(lines: Lines) -> tuple[str, ...]:
    """Return the names in the header of a CSV file."""
    return tuple(_header(_csv_fields(lines), lines)[0])


def columns_of_tsv(lines: Lines) -> tuple[str, ...]:
    """Return the names in the header of a TSV file."""
    return tuple(_header(_tsv_fields(lines), lines)[0])


def _table(lines: Lines, records: Iterator[list[str] | BadRow], columns: Sequence[str]) -> Rows:
    """Yield the rows of a format with a header: each has as many fields as the header."""
    header, blanks = _header(records, lines)
    indices = pick(header, columns, file=lines.file, line=lines.start)
    location = Location(lines.file, tuple(columns), tuple(i + 1 for i in indices), fraction_read=lines.fraction_read)
    yield from [BLANK] * blanks
    for record in records:
        if isinstance(record, BadRow):
            yield record
        elif len(record) == len(header):
            yield Row(location, lines.start, tuple([record[i] for i in indices]), lines.raw)
        else:
            few = len(record) < len(header)
            yield lines.bad(
                "too few fields" if few else "too many fields",
                f"{len(header)} fields are expected, as in the header; got {len(record)}",
                column=len(record) if few else len(header) + 1,
            )


def _header(records: Iterator[list[str] | BadRow], lines: Lines) -> tuple[list[str], int]:
    """Return the first row that is not blank, and the number of blank lines before it."""
    for blanks, record in enumerate(records):
        if not isinstance(record, BadRow):
            return record, blanks
        if record.error:
            raise record.error
    raise lines.empty()


def _csv_fields(lines: Lines) -> Iterator[list[str] | BadRow]:
    # The limit is global to the module and protects memory; `Lines` bounds a row already. It is raised, never lowered.
    csv.field_size_limit(max(csv.field_size_limit(), 2**31 - 1))
    reader = csv.reader(lines, strict=True)
    while True:
        lines.begin()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if lines.ended:
                raise DataError(
                    "a quote opened in the row that starts here is never closed",
                    file=lines.file,
                    line=lines.start,
                    row=lines.raw.rstrip("\r\n"),
                    fix="close the quote; a quote inside a quoted field is written twice",
                ) from None
            yield lines.fault or _csv_fault(lines, str(error))
            continue
        if lines.fault:
            yield lines.fault
        elif len(fields) < 2 and not lines.raw.strip(" \r\n"):
            yield BLANK
        else:
            yield fields


def _csv_fault(lines: Lines, complaint: str) -> BadRow:
    if "new-line character" in complaint:
        return lines.bare_carriage_return()
    return lines.bad(
        "broken quotes",
        f"the quotes of the row that starts here are broken ({complaint})",
        fix=f"a quote inside a quoted field is written twice: correct the row, {SKIP}",
    )


def _tsv_fields(lines: Lines) -> Iterator[list[str] | BadRow]:
    for text in lines.rows():
        yield lines.fault_of(text) or text.split("\t")
