"""Answers on Spark: a function for `mapInPandas`, which Spark schedules on one machine or many.

    import unrolled.spark

    decode = unrolled.spark.Decode("runs/films-gru-1")
    frame.mapInPandas(decode, decode.schema(frame)).write.parquet("out/")

The run's folder must be at the same path on every machine. It is loaded once in each worker process of Python, at its
first batch; a worker that finds another run there than the one that was named refuses to answer.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Unpack

from unrolled.data.reading.rows import pick
from unrolled.errors import ConfigError
from unrolled.keywords import DecodeKeywords
from unrolled.scoring.answers import schema_of
from unrolled.scoring.lazy import lazy, refuse_clash

__all__ = ["Decode"]


class Decode:
    """A function of an iterator of pandas data frames that adds the columns of the answers to each.

    Args:
        run: folder of a run, or of several whose answers are averaged.
        column: name of the column with the inputs; None: as in training, "prompt" for task generate.
        answer_prefix: beginning of the names of the answers' columns.
        device: device to compute on: "auto", "cpu", "cuda" or "mps".
        options: options of the run's task, as those of `unrolled.decode`.

    Raises:
        ConfigError: a run of images, or an option that the task does not have.
        CheckpointError: no finished run.
    """

    def __init__(
        self,
        run: str | Path | Iterable[str | Path],
        *,
        column: str | None = None,
        answer_prefix: str = "",
        device: str = "cpu",
        **options: Unpack[DecodeKeywords],
    ) -> None:
        self.run = lazy(run, device=device, options=options)
        self.column = column or self.run.column(self.run.config.data)
        self.answer_prefix = answer_prefix

    def schema(self, frame: Any) -> Any:
        """Return the schema of the result: the columns of a data frame of Spark, and those of the answers.

        Args:
            frame: the data frame.

        Raises:
            ConfigError: pyspark is not installed.
            DataError: the data frame has no column of inputs, or one with the name of an answer's.
        """
        answers = schema_of(self.run.kind, self.answer_prefix)
        columns = list(frame.columns)
        pick(columns, (self.column,))
        refuse_clash(columns, answers.names)
        try:
            types = importlib.import_module("pyspark.sql.types")
            pandas_types = importlib.import_module("pyspark.sql.pandas.types")
        except ImportError:
            raise ConfigError("pyspark is not installed: pip install 'unrolled[spark]'") from None
        return types.StructType([*frame.schema.fields, *pandas_types.from_arrow_schema(answers).fields])

    def __call__(self, frames: Iterator[Any]) -> Iterator[Any]:
        """Yield the data frames with the columns of the answers: the fields of `decode --json`, and `error`.

        Raises:
            CheckpointError: the run cannot be loaded, or is another one than was named.
        """
        names = schema_of(self.run.kind, self.answer_prefix).names
        for frame in frames:
            answers = self.run.answers(frame[self.column].tolist(), {})
            columns = zip(*answers, strict=True) if answers else ([],) * len(names)
            yield frame.assign(**{name: list(values) for name, values in zip(names, columns, strict=True)})
