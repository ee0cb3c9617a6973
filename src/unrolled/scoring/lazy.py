"""A run that is named now and loaded where it answers first: small, picklable, the same run in every process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unrolled import machine
from unrolled.config import Choice, Config, DataConfig, from_flat
from unrolled.data.reading.objects import kind_of
from unrolled.data.reading.rows import pick
from unrolled.decoding.options import OPTIONS, ClassOptions, MultiLabelOptions, Options
from unrolled.errors import CheckpointError, ConfigError, DataError
from unrolled.runs import leftovers
from unrolled.runs.ensemble import ensemble
from unrolled.runs.folder import describe, fingerprint
from unrolled.runs.load import load
from unrolled.runs.run import Run
from unrolled.scoring.answers import schema_of, values_of
from unrolled.strings import NOT_UNICODE, has_surrogate

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["LazyRun", "arrow_columns", "lazy", "refuse_clash"]

SCHEMAS: Mapping[str, type[Options]] = {"classify": ClassOptions, "multi_label": MultiLabelOptions}
"""Schemas of options by kind of run, where they differ from those of its task."""
COLUMNS = {"generate": "prompt"}
"""Name of the input's column, for tasks that have no setting for it."""


@dataclass(frozen=True)
class LazyRun:
    """A run, or several as an ensemble, by its folder; it is loaded once in each process that answers with it.

    Args:
        folders: absolute paths of the runs.
        fingerprints: fingerprint of each; a process refuses a folder that has another one by then.
        config: settings of the first.
        options: options of decoding.
        device: device to load on.
    """

    folders: tuple[str, ...]
    fingerprints: tuple[str, ...]
    config: Config
    options: Mapping[str, Any]
    device: str

    @property
    def kind(self) -> str:
        """Kind of the run, see `config.Choice`."""
        return Choice.of(self.config).task

    @property
    def run(self) -> Run:
        """The run, loaded at its first use in a process.

        Raises:
            CheckpointError: it cannot be loaded, or was replaced since.
        """
        return _loaded(self.folders, self.fingerprints, self.device)

    def reading(self, **settings: Any) -> DataConfig:
        """Return the settings with which its inputs are read: those of the training, overridden by `settings`."""
        given = {name: value for name, value in settings.items() if value is not None}
        return from_flat(given, base=self.config).data

    def column(self, settings: DataConfig) -> str:
        """Return the name of the column with the inputs."""
        if self.config.task == "translate":
            return settings.source
        unnamed = settings.text == DataConfig().text
        return COLUMNS.get(self.config.task, settings.text) if unnamed else settings.text

    def fault_of(self, value: Any) -> str | None:
        """Return the reason why the run cannot answer an input; None if it can."""
        task = self.config.task
        if not isinstance(value, str) and not (task == "tag" and isinstance(value, list)):
            return f"text is expected, got {kind_of(value)}"
        if isinstance(value, str):
            if not value.strip() and task != "generate":
                return "the text is empty"
            if has_surrogate(value):
                return f"the text {NOT_UNICODE}"
        truncate = {"truncate": self.options["truncate"]} if "truncate" in self.options else {}
        try:
            self.run.refuse(value, **truncate)
        except DataError as error:
            return error.problem
        return None

    def answers(self, inputs: Sequence[Any], faults: Mapping[int, str | None]) -> list[tuple[Any, ...]]:
        """Return the values of the columns of answers for inputs, in order; see `answers.columns_of`.

        Args:
            inputs: N inputs, as `decode` takes them.
            faults: the reason why an input has no answer, by its index; None where that is no error.
        """
        with machine.use_threads(1):  # more processes, not more threads, use more cores
            return self._answers(inputs, faults)

    def _answers(self, inputs: Sequence[Any], faults: Mapping[int, str | None]) -> list[tuple[Any, ...]]:
        found = {i: self.fault_of(value) for i, value in enumerate(inputs) if i not in faults}
        good = [i for i, fault in found.items() if fault is None]
        decoded = self.run.decode([inputs[i] for i in good], **self.options) if good else []
        answers = dict(zip(good, decoded, strict=True))
        found.update(faults)
        return [values_of(self.kind, answers.get(i), found[i]) for i in range(len(inputs))]

    def appended(self, table: pa.Table, column: str | None = None, prefix: str = "") -> pa.Table:
        """Return a table of Arrow with the columns of the answers for each of its rows.

        Args:
            table: the rows.
            column: name of the column with the inputs; None: as in training.
            prefix: beginning of the names of the new columns.

        Raises:
            DataError: there is no such column, or one has the name of a new column.
        """
        column = column or self.column(self.config.data)
        names = schema_of(self.kind, prefix)
        pick(table.column_names, (column,))
        refuse_clash(table.column_names, names.names)
        for field, values in arrow_columns(names, self.answers(table.column(column).to_pylist(), {})):
            table = table.append_column(field, values)
        return table


def arrow_columns(schema: pa.Schema, answers: Sequence[tuple[Any, ...]]) -> Iterator[tuple[Any, Any]]:
    """Yield the columns of answers, each as a field and an array of Arrow.

    Args:
        schema: names and types of the columns, see `answers.schema_of`.
        answers: the values of each row.
    """
    import pyarrow as pa

    for i, field in enumerate(schema):
        yield field, pa.array([_arrow(values[i]) for values in answers], field.type)


def lazy(runs: str | Path | Iterable[str | Path], *, device: str = "cpu", options: Mapping[str, Any]) -> LazyRun:
    """Return a run to be loaded later, after a check of its folder and options.

    Args:
        runs: folder of a run, or several for an ensemble.
        device: device to load on: "auto", "cpu", "cuda" or "mps".
        options: options of decoding; None stands for a default.

    Raises:
        CheckpointError: no finished run.
        ConfigError: a run of images, or an option is unknown, out of range or without effect.
    """
    folders = [Path(run).resolve() for run in ([runs] if isinstance(runs, str | Path) else runs)]
    for folder in folders:
        leftovers.recover(folder)
    config = describe(folders[0])[1]
    kind, chosen = Choice.of(config).task, {name: value for name, value in options.items() if value is not None}
    if kind == "images":
        raise ConfigError("images are no rows of a table: decode them without --out, from files or an IDX file")
    SCHEMAS.get(kind, OPTIONS["decode"][config.task]).parse(chosen, task=config.task)
    return LazyRun(tuple(map(str, folders)), tuple(map(fingerprint, folders)), config, chosen, device)


def refuse_clash(columns: Sequence[str], answers: Sequence[str], *, file: str | None = None) -> None:
    """Refuse a table with a column that has the name of an answer's.

    Args:
        columns: names of the table's columns.
        answers: names of the answers' columns.
        file: name of the table, for messages.

    Raises:
        DataError: names the column.
    """
    if clash := next((name for name in answers if name in columns), None):
        problem = f'has a column "{clash}", which is also the name of a column of the answers'
        fix = "begin their names otherwise, as in --answer-prefix predicted_, or choose columns with --keep-columns"
        raise DataError(problem, file=file or "the table", fix=fix)


@lru_cache(maxsize=1)
def _loaded(folders: tuple[str, ...], fingerprints: tuple[str, ...], device: str) -> Run:
    """Load a run, once in a process."""
    run = ensemble([load(folder, device=device) for folder in folders])
    for folder, expected in zip(folders, fingerprints, strict=True):
        if fingerprint(Path(folder)) != expected:
            raise CheckpointError(
                f"{folder} is another run than when this work began, so answers would differ between its parts: put "
                "the earlier run back, or begin anew"
            )
    return run


def _arrow(value: Any) -> Any:
    """Return a value for Arrow, whose maps are lists of pairs."""
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, list | tuple):
        return [each if isinstance(each, str) else _record(each) for each in value]
    return value


def _record(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(each.items()) if isinstance(each, dict) else each for name, each in value.items()}
