"""Data sources of rows: a file, standard input, a sample, a synthetic task, the Hub, Python objects.

`open_source` is the only function that distinguishes them. A new kind of source is added here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from unrolled.config import DataConfig
from unrolled.data.reading import fasttext, hub, parallel, samples, shards, text_folders
from unrolled.data.reading.addresses import HUB_PREFIX, PYTHON, STDIN, STDIN_NAME, is_sample
from unrolled.data.reading.flags import label_columns
from unrolled.data.reading.foreign import foreign
from unrolled.data.reading.formats import columns_of, described, format_of, of_splits, read_rows
from unrolled.data.reading.header import numbered
from unrolled.data.reading.objects import read_objects
from unrolled.data.reading.rows import Rows
from unrolled.data.reading.separators import AUTO
from unrolled.data.reading.stdin import standard_input
from unrolled.errors import DataError

__all__ = ["DataSource", "has_lines", "open_source"]

CLASSIFY, TRANSLATE = "classify", "translate"
DEFAULTS = DataConfig()
DEFAULT_SIDES = (DEFAULTS.source, DEFAULTS.target)


class DataSource(NamedTuple):
    """A source of rows.

    Args:
        name: name for run folders: the file's stem, the sample's name, or "data".
        source: name for records and messages: the path, an address, "standard input" or "python objects".
        form: the format, for reports.
        rows: names of columns -> rows with the values of these columns. Can be called again, except for iterators.
        columns: -> names of all columns; empty if they are not known before rows are read.
        unit: unit in which rows are counted, see `Location`.
        described: -> a note on the way in which its rows are read, "" for none.
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
    described: Callable[[], str] = str
    fixed: bool = False
    splits: Mapping[str, str] = {}
    unused: Sequence[str] = ()


def open_source(data: object, task: str, config: DataConfig = DEFAULTS) -> DataSource:
    """Return the data source of `data`; only standard input is read at once.

    Args:
        data: see `unrolled.train`.
        task: name of the task.
        config: how tables are written: the requested columns, header and separator.

    Raises:
        DataError: an unknown sample, synthetic task or data set of the hub; standard input that is a terminal; a file
            that no task reads; a folder that is none of texts.
    """
    if is_sample(data):
        return _sample(data, task)
    if isinstance(data, str) and data.startswith(HUB_PREFIX):
        return _hub(data)
    if task == TRANSLATE and parallel.are_sides(data):
        return _sides([Path(each) for each in cast("Sequence[str]", data)])
    if not isinstance(data, (str, os.PathLike)):
        return DataSource("data", PYTHON, PYTHON, lambda columns: read_objects(data, columns), unit="item")
    if data == STDIN:
        return _table(standard_input(), STDIN_NAME, task, config)
    path = Path(data)
    if path.is_dir() and (problem := of_splits(path)):
        raise problem
    if files := shards.files_of(path):
        return _shards(files, path, task, config)
    if task == TRANSLATE and (path.is_dir() or has_lines(path, config)):
        return _parallel(path, config)
    if task == CLASSIFY and path.is_dir():
        return _texts(path)
    if task != TRANSLATE and config.separator == AUTO and config.header and fasttext.is_fasttext(path):
        return _fasttext(path, config)
    return _table(path, str(data), task, config)


def _sample(address: str, task: str) -> DataSource:
    sample, _ = samples.find(address, task)
    if sample.images:
        raise DataError(f"{address} is a sample of images, not texts", fix="use sample:films")
    return DataSource(
        sample.name,
        address,
        sample.form,
        lambda columns: samples.read_sample(address, sample.columns[: len(columns)]),
        lambda: sample.columns,
        sample.unit,
        fixed=True,
        splits=samples.splits_of(address),
    )


def _hub(text: str) -> DataSource:
    address = hub.Address.parse(text)
    return DataSource(
        address.name.rpartition("/")[2],
        text,
        "data set of the Hugging Face Hub",
        lambda columns: hub.read_rows(address, columns),
        lambda: hub.columns_of(address),
        "row",
        splits={name: str(split) for name, split in hub.splits_of(address).items()},
        unused=hub.unused_splits(address),
    )


def _texts(folder: Path) -> DataSource:
    if (folder / "run.json").is_file() and (folder / "config.json").is_file():
        raise DataError(
            "is a trained run, not data",
            file=str(folder),
            fix=f"give the run's own data; to ask the run: unrolled decode {folder}, or unrolled evaluate {folder}",
        )
    splits = text_folders.split_folders(folder)

    def rows(columns: Sequence[str]) -> Rows:
        if splits:
            raise DataError(f"has the splits {', '.join(splits)}", file=str(folder), fix="name one of their folders")
        yield from text_folders.open_folder(folder).rows(columns)

    return DataSource(
        folder.resolve().name,
        str(folder),
        "folder of texts",
        rows,
        lambda: text_folders.COLUMNS,
        fixed=True,
        splits={split: str(path) for split, path in splits.items()},
    )


def _fasttext(path: Path, config: DataConfig) -> DataSource:
    return DataSource(
        path.name.split(".")[0] or "data",
        str(path),
        "lines of fastText",
        lambda columns: fasttext.read_fasttext(path, columns, several=config.multi_label),
        lambda: fasttext.COLUMNS,
        fixed=True,
    )


def has_lines(path: Path, config: DataConfig) -> bool:
    """Return whether a file of texts to translate has one in each line, or else is a table."""
    if config.separator != AUTO or not parallel.may_have_lines(path):
        return False
    if parallel.side(path, config.source, config.target):
        return True
    if foreign(path, str(path)):
        return False
    first = parallel.first_line(path)
    return "\t" not in first and first != config.source


def _parallel(path: Path, config: DataConfig) -> DataSource:
    """Return the source of one file of a pair, or of a folder of such files."""
    splits = parallel.splits_of(path, config.source, config.target) if path.is_dir() else {}

    def rows(columns: Sequence[str]) -> Rows:
        if splits:
            raise DataError(f"has the splits {', '.join(splits)}", file=str(path), fix="name one of its files")
        return parallel.read_sides(parallel.files_of(path, columns), columns)

    columns = (config.source, config.target)
    return DataSource(
        path.resolve().name.split(".")[0], str(path), "parallel files", rows, lambda: columns, fixed=True, splits=splits
    )


def _sides(files: Sequence[Path]) -> DataSource:
    """Return the source of a pair of files."""
    return DataSource(
        files[0].name.split(".")[0] or "data",
        " and ".join(map(str, files)),
        "parallel files",
        lambda columns: parallel.read_sides(files[: len(columns)], columns),
        lambda: parallel.columns_of_sides(*files),
        fixed=True,
    )


def _shards(files: Sequence[Path], path: Path, task: str, config: DataConfig) -> DataSource:
    """Return the source of files that are one table; `path` is the folder or the pattern that stands for them."""
    form = shards.refuse_other_format(files, config.separator)
    sources = {file: _table(file, str(file), task, config) for file in files}
    first = sources[files[0]]
    folder = path if path.is_dir() else path.parent

    def rows(columns: Sequence[str]) -> Rows:
        return shards.read_shards(
            files, form, lambda file: sources[file].rows(columns), lambda file: sources[file].columns()
        )

    return first._replace(
        name=folder.resolve().name or "data",
        source=str(path),
        form=f"{form} in {len(files):,} shard{'s'[: len(files) != 1]}",
        rows=rows,
    )


def _table(path: Path, source: str, task: str, config: DataConfig) -> DataSource:
    form = format_of(path, config.separator)
    labelled = (config.text, *label_columns(config, tuple))
    requested = (config.source, config.target) if task == TRANSLATE else labelled
    how: dict[str, Any] = {"file": source, "header": config.header, "separator": config.separator}

    def untitled() -> bool:
        """Return whether a .txt file of pairs has no header, since no name in it was requested."""
        return (
            task == TRANSLATE
            and form == "txt"
            and config.header
            and requested == DEFAULT_SIDES
            and config.source not in columns_of(path, requested=requested, **how)
        )

    def rows(columns: Sequence[str]) -> Rows:
        if untitled():
            numbers = numbered(len(DEFAULT_SIDES))[: len(columns)]
            return read_rows(path, numbers, **how | {"header": False})
        return read_rows(path, columns, **how)

    def columns() -> tuple[str, ...]:
        return DEFAULT_SIDES if untitled() else columns_of(path, requested=requested, **how)

    return DataSource(
        "input" if source == STDIN_NAME else path.name.split(".")[0] or "data",
        source,
        form,
        rows,
        columns,
        "row" if form in ("parquet", "json") else "line",
        lambda: described(path, requested=requested, **how | {"header": config.header and not untitled()}),
    )
