"""Answers on Ray: a callable for `map_batches` of Ray Data, which schedules the work on one machine or many.

    import ray
    import unrolled.ray

    rows = ray.data.read_parquet("in/")
    decode = unrolled.ray.Decode("runs/films-gru-1")
    rows.map_batches(decode, batch_format="pyarrow", batch_size=4096).write_parquet("out/")

The run's folder must be at the same path on every machine. It is loaded once in each worker process, at its first
batch; a worker that finds another run there than the one that was named refuses to answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from unrolled.errors import ConfigError
from unrolled.keywords import DecodeKeywords
from unrolled.scoring.lazy import lazy

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Decode"]


class Decode:
    """A function of batches that adds the columns of the answers; small, and loaded where it is first called.

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
        self.column, self.answer_prefix = column, answer_prefix

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Return a batch with the columns of the answers: the fields of `unrolled decode --json`, and `error`.

        Raises:
            ConfigError: the batch is no table of Arrow.
            DataError: it has no column of inputs, or one with the name of an answer's.
            CheckpointError: the run cannot be loaded, or is another one than was named.
        """
        if not hasattr(batch, "append_column"):
            given = type(batch).__name__
            raise ConfigError(
                f'batches must be tables of Arrow: add batch_format="pyarrow" to map_batches; got {given}'
            )
        return self.run.appended(batch, self.column, self.answer_prefix)
