"""A worker process: jobs from standard input, replies to standard output, both pickled; `pool` starts it.

Killed with its parent: it ends as soon as its input does, whatever it is doing.
"""

from __future__ import annotations

import os
import pickle
import queue
import shutil
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from unrolled import atomic
from unrolled.data.reading.portions import Portion
from unrolled.errors import UnrolledError, of_system
from unrolled.scoring.layout import Layout
from unrolled.scoring.lazy import LazyRun
from unrolled.scoring.rows import Counts, answered

__all__ = ["Answer", "Failed", "Job", "Join", "Written", "main"]

ROW_GROUP = 1 << 17
"""Rows of a row group of Parquet, at least, where parts are joined."""
ROW_GROUP_BYTES = 1 << 26


class Answer(NamedTuple):
    """The job to answer a portion.

    Args:
        run: the run that answers.
        layout: how the shard is read and written.
        portion: the rows.
        number: number of the portion in its shard, from 0.
        stop: whether a row that cannot be answered is an error.
        part: the file to write.
    """

    run: LazyRun
    layout: Layout
    portion: Portion
    number: int
    stop: bool
    part: Path


class Join(NamedTuple):
    """The job to join the portions of a shard.

    Args:
        layout: how the shard is written.
        parts: the files of its portions, in order.
        output: the file to write.
    """

    layout: Layout
    parts: tuple[Path, ...]
    output: Path


Job = Answer | Join


class Written(NamedTuple):
    """A job is done.

    Args:
        size: bytes of the file that was written.
        counts: numbers of the rows of a portion.
    """

    size: int
    counts: Counts = Counts()


class Failed(NamedTuple):
    """A job that cannot be done.

    Args:
        kind: name of the class of the error; "" for a bug of ours.
        message: the error's message, or the traceback of a bug.
    """

    kind: str
    message: str


def main() -> None:
    """Do jobs until the input ends."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing but replies is written to the pipe
    jobs = queue.SimpleQueue[Job]()
    threading.Thread(target=_receive, args=(sys.stdin.buffer, jobs), daemon=True).start()
    while True:
        pickle.dump(_reply(jobs.get()), replies)
        replies.flush()


def _receive(pipe: BinaryIO, jobs: queue.SimpleQueue[Job]) -> None:
    """Pass jobs on, and end the process with its input: the parent has ended, and nobody waits for an answer."""
    try:
        while True:
            jobs.put(pickle.load(pipe))
    except (EOFError, pickle.UnpicklingError):  # the second of a parent that was killed while it wrote
        os._exit(0)


def _reply(job: Job) -> Written | Failed:
    try:
        return _answer(job) if isinstance(job, Answer) else _join(job)
    except UnrolledError as error:
        return Failed(type(error).__name__, str(error))
    except Exception as error:  # noqa: BLE001  (the parent raises it)
        message = of_system(error)
        return Failed("", traceback.format_exc()) if message is None else Failed("WorkerError", message)


def _answer(job: Answer) -> Written:
    data, counts = answered(job.run, job.layout, job.portion, stop=job.stop, first=job.number == 0)
    with atomic.write_errors(job.part):
        job.part.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_file(job.part, data)
    return Written(len(data), counts)


def _join(job: Join) -> Written:
    """Write the portions of a shard in order, and rename the file when it is complete."""
    first, output = job.parts[0], job.output
    partial = first.with_name("joined")
    with atomic.write_errors(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        if job.layout.form == "parquet":
            _join_parquet(job.parts, partial)
        else:
            with partial.open("wb") as file:
                for part in job.parts:
                    with part.open("rb") as piece:
                        shutil.copyfileobj(piece, file, 1 << 20)
                file.flush()
                os.fsync(file.fileno())
        size = partial.stat().st_size
        partial.replace(output)
        atomic.sync(output.parent)
    return Written(size)


def _join_parquet(parts: tuple[Path, ...], path: Path) -> None:
    """Write tables one below the other, in row groups of a usual size."""
    import pyarrow as pa
    from pyarrow import parquet

    schema, held = parquet.read_schema(parts[0]), list[Any]()
    with path.open("wb") as file:
        with parquet.ParquetWriter(file, schema) as writer:
            for part in parts:
                held.append(parquet.read_table(part))
                rows, size = sum(table.num_rows for table in held), sum(table.nbytes for table in held)
                if rows >= ROW_GROUP or size >= ROW_GROUP_BYTES:
                    writer.write_table(pa.concat_tables(held))
                    held.clear()
            if held:
                writer.write_table(pa.concat_tables(held))
        file.flush()
        os.fsync(file.fileno())
