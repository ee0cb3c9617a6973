"""The layout of a shard: how its rows are read, and how they are written with their answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from unrolled.config import DataConfig
from unrolled.data.reading.csv_tsv import columns_of_table
from unrolled.data.reading.files import unpacked_name
from unrolled.data.reading.formats import columns_of, format_of
from unrolled.data.reading.json_file import is_json_lines
from unrolled.data.reading.json_lines import columns_of_json_lines
from unrolled.data.reading.lines import open_lines
from unrolled.data.reading.parallel import first_line
from unrolled.data.reading.portions import Portion, portions_of_lines, portions_of_parquet
from unrolled.data.reading.rows import pick
from unrolled.data.reading.separators import AUTO, CSV, TSV, Dialect, dialect_of
from unrolled.data.reading.sources import has_lines
from unrolled.errors import ConfigError, DataError
from unrolled.scoring.answers import columns_of as answer_columns
from unrolled.scoring.lazy import LazyRun, refuse_clash
from unrolled.scoring.shards import Shard

__all__ = ["Form", "Layout", "layout_of"]

Form = Literal["csv", "tsv", "jsonl", "parquet", "txt"]
"""A format of answers; txt has the answer alone in each line."""
Kind = Literal["table", "jsonl", "parquet", "lines"]
ENDINGS = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json", ".parquet")


@dataclass(frozen=True)
class Layout:
    """The reading and the writing of the rows of a shard.

    Args:
        file: path of the input, for messages.
        name: name of the output, relative to its folder.
        kind: how rows are read: a table, JSON lines, Parquet, or a text a line.
        column: name of the column with the inputs.
        names: names of all columns, or the keys of the first object; empty without rows.
        kept: names of the columns that are kept; None: whole objects of JSON lines, as they are written.
        dialect: how a table is read.
        before: number of lines of the header of a table, and of what precedes it.
        form: the format of the output.
        written: how a table is written.
        prefix: beginning of the names of the answers' columns.
    """

    file: str
    name: str
    kind: Kind
    column: str
    names: tuple[str, ...]
    kept: tuple[str, ...] | None
    dialect: Dialect
    before: int
    form: Form
    written: Dialect
    prefix: str

    @property
    def packing(self) -> str:
        """The ending of the output's compression, "" without one."""
        return Path(self.name).suffix if unpacked_name(self.name) != self.name.lower() else ""

    def portions(self, rows: int) -> Iterator[Portion]:
        """Yield the shard in portions of at most so many rows, at least one.

        Raises:
            DataError: the file cannot be read.
        """
        if self.kind == "parquet":
            return portions_of_parquet(Path(self.file), rows)
        separator = self.dialect.separator if self.kind == "table" and self.dialect.quoted else None
        return portions_of_lines(Path(self.file), rows, before=self.before, separator=separator)


def layout_of(
    shard: Shard, run: LazyRun, settings: DataConfig, *, form: Form | None, keep: Sequence[str] | None, prefix: str
) -> Layout:
    """Return the layout of a shard, whose first rows are read for it.

    Args:
        shard: the file.
        run: the run that answers.
        settings: how tables are written, and the column of the inputs.
        form: the format of the output; None: that of the input.
        keep: columns to keep; None: all.
        prefix: beginning of the names of the answers' columns.

    Raises:
        DataError: a file that cannot be read, a missing column, or one that has the name of an answer's.
    """
    file, column = str(shard.path), run.column(settings)
    kind = _kind(shard.path, run.config.task, column, settings)
    names, dialect, before = _head(shard.path, kind, column, settings)
    form = form or ("txt" if kind == "lines" else _own(shard.path) if kind == "table" else kind)
    if form == "txt" and keep is not None:
        raise ConfigError("format txt has the answers alone: leave --keep-columns out, or choose another --format")
    kept = names if keep is None else tuple(keep)
    if names:
        pick(names, (column,), file=file)
        pick(names, kept, file=file)
    refuse_clash(kept, answer_columns(run.kind, prefix), file=file)
    objects = kind == "jsonl" and keep is None
    if objects and form not in ("jsonl", "txt"):
        fix = f"name the columns of the {form} with --keep-columns, as in --keep-columns {column}"
        raise DataError("objects of JSON lines may differ in their keys, and a table has columns", file=file, fix=fix)
    own = kind == "table" and form == _own(shard.path)
    written = dialect if own else (CSV if form == "csv" else TSV)
    name = shard.name if own or form == kind else _renamed(shard.name, form)
    return Layout(file, name, kind, column, names, None if objects else kept, dialect, before, form, written, prefix)


def _kind(path: Path, task: str, column: str, settings: DataConfig) -> Kind:
    if task == "translate" and has_lines(path, settings):
        return "lines"
    form = format_of(path, settings.separator)
    if form == "txt" and settings.separator == AUTO:
        first = first_line(path)
        return "lines" if "\t" not in first and first != column else "table"
    if form == "json" and not is_json_lines(path, str(path)):
        problem, fix = "is one JSON value, which is read as a whole", "write one object a line: jq -c '.[]'"
        raise DataError(problem, file=str(path), fix=fix)
    return "jsonl" if form in ("json", "jsonl") else "parquet" if form == "parquet" else "table"


def _head(path: Path, kind: Kind, column: str, settings: DataConfig) -> tuple[tuple[str, ...], Dialect, int]:
    """Return the names of the columns, how a table is read, and the number of lines before its rows."""
    file = str(path)
    if kind == "parquet":
        return columns_of(path, file=file), CSV, 0
    if kind == "lines":
        return (column,), TSV, 0
    if kind == "jsonl":
        with open_lines(path, file) as lines:
            if next(lines, None) is None:  # no rows, as in some of the parts that Spark writes
                return (), CSV, 0
        with open_lines(path, file) as lines:
            return columns_of_json_lines(lines), CSV, 0
    form = format_of(path, settings.separator)
    dialect = dialect_of(path, file, form, (column,), header=settings.header, separator=settings.separator)
    with open_lines(path, file) as lines:
        names = columns_of_table(lines, dialect)
        return names, dialect, lines.number if dialect.header else dialect.preamble


def _own(path: Path) -> Form:
    return "csv" if Path(unpacked_name(path.name)).suffix == ".csv" else "tsv"


def _renamed(name: str, form: Form) -> str:
    """Return a name with the ending of another format; its compression is kept, except for Parquet."""
    plain = name[: len(unpacked_name(name))]
    stem = plain[: -len(Path(plain).suffix)] if Path(plain).suffix.lower() in ENDINGS else plain
    return f"{stem}.{form}{'' if form == 'parquet' else name[len(plain) :]}"
