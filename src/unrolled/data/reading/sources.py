"""Every way in which rows come into the house: a file, standard input, a sample, the Hugging Face Hub, Python objects.

Whoever needs rows asks `open_source` and knows nothing of where they come from; whoever adds a way adds it here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from unrolled.data.reading import hub, samples
from unrolled.data.reading.objects import PYTHON, read_objects
from unrolled.data.reading.readers import columns_of, format_of, read_rows
from unrolled.data.reading.rows import Rows
from unrolled.data.reading.stdin import STDIN, STDIN_NAME, standard_input
from unrolled.errors import DataError

__all__ = ["NOT_REREADABLE", "DataSource", "is_file", "open_source"]

NOT_REREADABLE = {  # sources that no other process can read again
    PYTHON: "Python objects, which are not kept",
    STDIN: "standard input, which is not kept",
    STDIN_NAME: "standard input, which is not kept",
}


class DataSource(NamedTuple):
    """Where rows come from.

    Args:
        name: for run folders: the file's stem, the sample's name, or "data".
        source: for records and messages: the path as given, an address, "standard input" or "python objects".
        form: the format, for reports.
        rows: the columns' names -> the rows, with the values of these columns. May be called again, but for iterators.
        columns: -> the names of all columns; none where they have none before rows are read.
        unit: what rows are counted in, see `Location`.
        fixed: whether the columns are known, whatever they are called in the settings.
        parts: the parts it comes in, each an address of its own; empty where it is one, to be split.
    """

    name: str
    source: str
    form: str
    rows: Callable[[Sequence[str]], Rows]
    columns: Callable[[], tuple[str, ...]] = tuple
    unit: str = "line"
    fixed: bool = False
    parts: Mapping[str, str] = {}


def open_source(data: object, task: str) -> DataSource:
    """Return where the rows of `data` come from; nothing is read yet, but standard input.

    Raises:
        DataError: a sample or a data set of the hub that is not there; standard input that nothing is connected to.
    """
    if isinstance(data, str) and data.startswith(samples.PREFIX):
        sample, part = samples.find(data, task)
        if sample.images:
            raise DataError(f"{samples.PREFIX}{sample.name} is a sample of images, not texts", fix="take sample:films")
        parts = {} if part else {name: f"{data}/{name}" for name in samples.SPLITS}
        return DataSource(
            sample.name,
            data,
            "sample",
            lambda columns: samples.read_sample(data, sample.columns[: len(columns)]),
            lambda: sample.columns,
            fixed=True,
            parts=parts,
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
            parts={name: str(part) for name, part in hub.splits_of(address).items()},
        )
    if isinstance(data, (str, os.PathLike)):
        path, source = (standard_input(), STDIN_NAME) if data == STDIN else (Path(data), str(data))
        form = format_of(path)
        return DataSource(
            "input" if data == STDIN else path.name.split(".")[0] or "data",
            source,
            form,
            lambda columns: read_rows(path, columns, file=source),
            lambda: columns_of(path, file=source),
            "row" if form == "parquet" else "line",
        )
    return DataSource("data", PYTHON, PYTHON, lambda columns: read_objects(data, columns), unit="item")


def is_file(source: str) -> bool:
    """Whether a source, as it was given or recorded, is a path."""
    return source not in NOT_REREADABLE and not source.startswith((samples.PREFIX, hub.PREFIX))
