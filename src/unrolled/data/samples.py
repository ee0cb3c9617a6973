"""The sample data sets that come with the package: real sentences, small enough to train on at once.

`sample:films` names a whole sample, `sample:films/test` one part of it. The parts are fixed, as a column of the file,
so that everyone's figures are about the same rows. Both are sentences with a mean human rating from −4 to 4, of which
the clear ones are kept: above 0.5 is positive, below −0.5 negative.

films      10,605 sentences read, 562 neutral ones left out, 10,043 kept
           train 4,555 negative + 4,473 positive, valid 261 + 259, test 245 + 250; split by the text
products   3,708 sentences read, 765 neutral ones left out, 2,943 kept
           train 1,018 negative + 1,535 positive, valid 152 + 85, test 48 + 105; split by the review
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import resources
from typing import NamedTuple

from unrolled.data.lines import BadRow
from unrolled.data.readers import Row, read_rows
from unrolled.errors import DataError, nearest

__all__ = ["PARTS", "PREFIX", "SAMPLES", "Sample", "find", "read_sample"]

PREFIX = "sample:"
PARTS = ("train", "valid", "test")
LICENCE = "MIT, C.J. Hutto 2016 (LICENSE-snippets)"


class Sample(NamedTuple):
    """One sample data set."""

    name: str
    task: str
    what: str
    rows: int
    licence: str


SAMPLES = (
    Sample("films", "classify", "sentences from film reviews, positive or negative", 10_043, LICENCE),
    Sample("products", "classify", "sentences from product reviews, positive or negative", 2_943, LICENCE),
)


def find(address: str) -> tuple[Sample, str | None]:
    """Return the sample and the part, if any, that `sample:name` or `sample:name/part` names.

    Raises:
        DataError: there is no such sample or part; the nearest is named.
    """
    name, slash, part = address.removeprefix(PREFIX).partition("/")
    names = [sample.name for sample in SAMPLES]
    if name not in names:
        have = ", ".join(PREFIX + known for known in names)
        raise DataError(f'there is no sample "{name}"{nearest(name, names)}', fix=f"samples are {have}")
    if slash and part not in PARTS:
        have = ", ".join(f"{PREFIX}{name}/{known}" for known in PARTS)
        raise DataError(f'sample {name} has no part "{part}"{nearest(part, PARTS)}', fix=f"its parts are {have}")
    return SAMPLES[names.index(name)], part or None


def read_sample(address: str, columns: Sequence[str]) -> Iterator[Row | BadRow]:
    """Yield the rows of a sample, or of one part of it, with the values of `columns` ("text" and "label").

    Raises:
        DataError: there is no such sample or part.
    """
    sample, part = find(address)
    file = resources.files("unrolled.data") / "samples" / f"{sample.name}.tsv.xz"
    with resources.as_file(file) as path:
        for row in read_rows(path, (*columns, "part"), file=address):
            if isinstance(row, BadRow) or part in (None, row.values[-1]):
                yield row
