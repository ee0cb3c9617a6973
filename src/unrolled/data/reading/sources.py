"""Data sources of rows: a file, standard input, a sample, the Hugging Face Hub, Python objects.

`open_source` is the only function that distinguishes them. A new kind of source is added here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from unrolled.data.reading import hub, samples
from unrolled.data.reading.formats import columns_of, format_of, read_rows
from unrolled.data.reading.objects import PYTHON, read_objects
from unrolled.data.reading.rows import Rows
from unrolled.data.reading.stdin import STDIN, STDIN_NAME, standard_input
from unrolled.errors import DataError

__all__ = ["NOT_REREADABLE", "DataSource", "is_file", "open_source"]

NOT_REREADABLE = {  # sources that another process cannot read again
    PYTHON: "Python objects, which are not saved",
    STDIN: "standard input, which is not saved",
    STDIN_NAME: "standard input, which is not saved",
}


class DataSource(NamedTuple):
    """A source of rows.

    Args:
        name: for run folders: the file's stem, the sample's name, or "data".
        source: for records and messages: the path, an address, "standard input" or "python objects".
        form: the format, for reports.
        rows: names of columns -> rows with the values of these columns. Can be called again, except for iterators.
        columns: -> names of all columns; empty if they are not known before rows are read.
        unit: of the lines of rows, see `Location`.
        fixed: whether the columns are fixed, whatever their names in the settings.
        splits: addresses of its fixed splits by name; empty if it has none.
        unused: names of other splits that it has.
    """

    name: str
    source: str
    form: str
    rows: Callable[[Sequence[str]], Rows]
    columns: Callable[[], tuple[str, ...]] = tuple
    unit: str = "line"
    fixed: bool = False
    splits: Mapping[str, str] = {}
    unused: Sequence[str] = ()


def open_source(data: object, task: str, *, header: bool = True) -> DataSource:
    """Return the data source of `data`; only standard input is read at once.

    Args:
        data: see `unrolled.train`. task: its name.
        header: whether the first row of a CSV or TSV file names the columns; otherwise they are "1", "2", …

    Raises:
        DataError: an unknown sample or data set of the hub; standard input that is a terminal.
    """
    if isinstance(data, str) and data.startswith(samples.PREFIX):
        sample, split = samples.find(data, task)
        if sample.images:
            raise DataError(f"{samples.PREFIX}{sample.name} is a sample of images, not texts", fix="use sample:films")
        splits = {} if split else {name: f"{data}/{name}" for name in samples.SPLITS}
        return DataSource(
            sample.name,
            data,
            "sample",
            lambda columns: samples.read_sample(data, sample.columns[: len(columns)]),
            lambda: sample.columns,
            fixed=True,
            splits=splits,
        )
    if isinstance(data, str) and data.startswith(hub.PREFIX):
        address = hub.Address.parse(data)
        return DataSource(
            address.name.rpartition("/")[2],
            data,
            "data set of the Hugging Face Hub",
            lambda columns: hub.read_rows(address, columns),
            lambda: hub.columns_of(address),
            "row",
            splits={name: str(split) for name, split in hub.splits_of(address).items()},
            unused=hub.unused_splits(address),
        )
    if isinstance(data, (str, os.PathLike)):
        path, source = (standard_input(), STDIN_NAME) if data == STDIN else (Path(data), str(data))
        form = format_of(path)
        return DataSource(
            "input" if data == STDIN else path.name.split(".")[0] or "data",
            source,
            form,
            lambda columns: read_rows(path, columns, file=source, header=header),
            lambda: columns_of(path, file=source, header=header),
            "row" if form == "parquet" else "line",
        )
    return DataSource("data", PYTHON, PYTHON, lambda columns: read_objects(data, columns), unit="item")


def is_file(source: str) -> bool:
    """Return whether a source, as an argument or as recorded, is a path."""
    return source not in NOT_REREADABLE and not source.startswith((samples.PREFIX, hub.PREFIX))
