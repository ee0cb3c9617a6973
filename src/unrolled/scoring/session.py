"""Answers for files: the order of the work, from shards and portions to joined outputs."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from unrolled import machine
from unrolled.config import DataConfig
from unrolled.errors import ConfigError, DataError, Interrupted
from unrolled.scoring import journal
from unrolled.scoring.journal import Journal
from unrolled.scoring.layout import Form, Layout, layout_of
from unrolled.scoring.lazy import LazyRun
from unrolled.scoring.pool import Pool
from unrolled.scoring.rows import Counts
from unrolled.scoring.shards import Shard, State, find_shards
from unrolled.scoring.worker import Answer, Job, Join, Written

__all__ = ["Progress", "Result", "decode_files"]

ROWS, ROWS_WRITTEN = 4_096, 256
"""Rows of a portion; of a run that writes text, whose answers take longer."""

log = logging.getLogger("unrolled")


class Progress(NamedTuple):
    """The progress of the work.

    Args:
        rows: rows answered by this call.
        shards: finished shards, those of earlier calls included.
        of: all shards.
        fraction: fraction of all bytes of the shards that is done.
        seconds: since the call.
        fraction_before: fraction that was done before the call.
    """

    rows: int
    shards: int
    of: int
    fraction: float
    seconds: float
    fraction_before: float

    @property
    def rows_per_second(self) -> float:
        """Rows answered in a second."""
        return self.rows / max(self.seconds, 1e-9)

    @property
    def remaining(self) -> float | None:
        """Estimate of the remaining seconds; None: not known yet."""
        done = self.fraction - self.fraction_before
        return self.seconds * (1 - self.fraction) / done if done > 0 else None


@dataclass(frozen=True)
class Result:
    """The finished work.

    Args:
        out: folder of the answers.
        shards: number of shards.
        rows: rows of all shards, each with one row of the answers.
        errors: rows without an answer, whose column `error` has the reason.
        blank: blank lines of a text a line, whose answer is blank.
        answered: rows answered by this call; the others were finished before.
        seconds: time of this call.
    """

    out: Path
    shards: int
    rows: int
    errors: int
    blank: int
    answered: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary of JSON values."""
        return {**vars(self), "out": str(self.out)}


def decode_files(
    run: LazyRun,
    files: Iterable[str],
    out: Path,
    *,
    settings: DataConfig,
    form: Form | None = None,
    keep: Sequence[str] | None = None,
    prefix: str = "",
    on_bad_row: Literal["stop", "record"] = "record",
    workers: int | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Result:
    """Answer every row of files, and write a file with the answers for each; see `unrolled.decode_files`.

    Args:
        run: the run that answers.
        files: paths of files and folders, and patterns.
        out: folder of the answers.
        settings: how the files are read.
        form: the format of the answers; None: that of each file.
        keep: columns to keep; None: all.
        prefix: beginning of the names of the answers' columns.
        on_bad_row: "record" the reason why a row has no answer, or "stop" at such a row.
        workers: number of processes; None: one for each core, or one on a GPU.
        report: called with the progress.
    """
    workers = _workers(workers, run.device)
    rows = ROWS_WRITTEN if run.config.task in ("translate", "generate") else ROWS
    job = {
        "runs": list(run.fingerprints),
        "options": dict(run.options),
        "column": run.column(settings),
        "header": settings.header,
        "separator": settings.separator,
        "format": form,
        "keep_columns": None if keep is None else list(keep),
        "answer_prefix": prefix,
        "rows_of_a_portion": rows,
    }
    shards = find_shards(files, out)
    with journal.opened(out, job) as record:
        work = _Work(run, record, report, stop=on_bad_row == "stop", rows=rows)
        for shard in shards:
            work.add(shard, lambda each: layout_of(each, run, settings, form=form, keep=keep, prefix=prefix))
        try:
            with Pool(workers) as pool:
                work.do(pool)
        except KeyboardInterrupt as interrupt:
            number = interrupt.args[0] if interrupt.args else signal.SIGINT
            folder = shlex.quote(str(out))
            raise Interrupted(
                f"interrupted after {work.answered:,} rows, with {work.finished:,} of {len(shards):,} files complete; "
                f"all that is finished is kept in {folder}, and the same command goes on",
                signal=number,
                folder=out,
            ) from None
        work.refuse_failed()
        record.close()
        return Result(out, len(shards), *work.total, work.answered, round(time.monotonic() - work.began, 3))


def _workers(number: int | None, device: str) -> int:
    """Return the number of workers.

    Raises:
        ConfigError: it is below 1.
    """
    if number is not None and number < 1:
        raise ConfigError(f"workers must be at least 1: got {number}")
    if number is not None or machine.device(device).type != "cpu":
        return number or 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class _Active:
    """A shard under way.

    Args:
        shard, state, layout: the shard, its file's size and time, and its layout.
        counts: the counts of each finished portion.
        portions: number of portions; None: not all are read yet.
        position: bytes of the file whose rows are answered, about.
    """

    shard: Shard
    state: State
    layout: Layout
    counts: dict[int, Counts] = field(default_factory=dict)
    portions: int | None = None
    position: int = 0

    @property
    def total(self) -> Counts:
        """The sums of the counts."""
        total = Counts()
        for counts in self.counts.values():
            total = total.plus(counts)
        return total

    def about(self, start: int) -> str:
        """Return a name for a portion, in messages."""
        return f"{self.layout.file}, rows from {'row' if self.layout.kind == 'parquet' else 'line'} {start:,}"


class _Work:
    """All shards, and what is done of them."""

    def __init__(
        self, run: LazyRun, record: Journal, report: Callable[[Progress], None], *, stop: bool, rows: int
    ) -> None:
        self.run, self.record, self.report, self.stop, self.rows = run, record, report, stop, rows
        self.began = time.monotonic()
        self.total, self.finished, self.answered = Counts(), 0, 0
        self.failed: list[DataError] = []
        self._todo = deque[tuple[Shard, State, Callable[[Shard], Layout]]]()
        self._active: dict[str, _Active] = {}
        self._joins = deque[_Active]()
        self._outputs: dict[str, str] = {}  # files by the names of their outputs
        self._bytes = self._done_bytes = self._shards = 0
        self._before = 0.0
        self._jobs = self._answers()

    def add(self, shard: Shard, layout: Callable[[Shard], Layout]) -> None:
        """Add a shard, unless it is finished."""
        state = shard.state()
        self._shards += 1
        self._bytes += state.size
        counts = self.record.finished(shard, state)
        if counts is None:
            if self.record.changed(shard, state):
                log.info("%s has changed since it was answered: it is answered again", shard.path)
            self._todo.append((shard, state, layout))
            return
        self.total, self.finished = self.total.plus(counts), self.finished + 1
        self._outputs[self.record.output(shard)] = str(shard.path)
        self._done_bytes += state.size

    def do(self, pool: Pool) -> None:
        """Do the work.

        Raises:
            WorkerError: see `Pool.replies`.
            DataError: a row that cannot be answered, with `stop`.
        """
        self._before = self._done_bytes / max(1, self._bytes)
        while True:
            while pool.free and (found := self._next()):
                pool.begin(*found)
            if not pool.busy:
                return
            for job, written in pool.replies():
                self._done(job, written)
                self.report(self._progress())

    def refuse_failed(self) -> None:
        """Refuse to call the work finished if files could not be read.

        Raises:
            DataError: the first, and the number of the others.
        """
        if not self.failed:
            return
        first, *others = self.failed
        more = (
            f" (and {len(others):,} more files: {', '.join(str(each.file) for each in others[:3])})" if others else ""
        )
        fix = f"{first.fix}; the other files are finished, and the same command goes on" if first.fix else None
        raise DataError(first.problem + more, file=first.file, line=first.line, unit=first.unit, row=first.row, fix=fix)

    def _next(self) -> tuple[Job, str] | None:
        """Return the next job, with a name of its part of the work; None: there is none for now."""
        if self._joins:
            return self._join(self._joins.popleft())
        found = next(self._jobs, None)
        if found is None and self._joins:
            return self._join(self._joins.popleft())
        return found

    def _join(self, active: _Active) -> tuple[Job, str]:
        parts = tuple(self.record.part(active.shard, number) for number in range(active.portions or 0))
        return Join(active.layout, parts, self.record.out / active.layout.name), f"{active.layout.file}, as a whole"

    def _answers(self) -> Iterator[tuple[Job, str]]:
        """Yield a job for each portion that is not finished; files that cannot be read are left for the end."""
        while self._todo:
            shard, state, make = self._todo.popleft()
            layout = None
            try:
                layout = make(shard)
                self._refuse_same(layout)
                yield from self._answers_of(shard, state, layout)
            except DataError as error:
                self.failed.append(error)
                self._active = {name: each for name, each in self._active.items() if each.layout is not layout}

    def _refuse_same(self, layout: Layout) -> None:
        """Refuse a second file with the same output.

        Raises:
            DataError: names both files.
        """
        if (other := self._outputs.setdefault(layout.name, layout.file)) != layout.file:
            problem = f"its answers would have the name of those of {other}, {layout.name}"
            raise DataError(problem, file=layout.file, fix="use two folders for the answers, or another --format")

    def _answers_of(self, shard: Shard, state: State, layout: Layout) -> Iterator[tuple[Job, str]]:
        active = self._active[layout.name] = _Active(shard, state, layout)
        finished, number = self.record.portions(shard, state), 0
        for number, portion in enumerate(layout.portions(self.rows)):
            if number in finished:
                active.counts[number] = finished[number]
                continue
            part = self.record.part(shard, number)
            yield Answer(self.run, layout, portion, number, self.stop, part), active.about(portion.start)
        if shard.state() != state:
            problem, fix = "has changed while it was read", "run the same command when it is complete"
            raise DataError(problem, file=str(shard.path), fix=fix)
        active.portions = number + 1
        self._finish(active)

    def _finish(self, active: _Active) -> None:
        if active.portions == len(active.counts):
            self._joins.append(active)

    def _done(self, job: Job, written: Written) -> None:
        """Record a finished job."""
        active = self._active.get(job.layout.name)
        if active is None:  # of a file that failed
            return
        if isinstance(job, Answer):
            active.counts[job.number] = written.counts
            self.answered += written.counts.rows
            self._done_bytes += max(0, job.portion.position - active.position)
            active.position = max(active.position, job.portion.position)
            self.record.add(active.shard, active.state, job.number, written.size, written.counts, job.layout.name)
            self._finish(active)
            return
        del self._active[job.layout.name]
        self.total, self.finished = self.total.plus(active.total), self.finished + 1
        self._done_bytes += active.state.size - active.position
        self.record.add(active.shard, active.state, None, written.size, active.total, job.layout.name)

    def _progress(self) -> Progress:
        return Progress(
            self.answered,
            self.finished,
            self._shards,
            min(1.0, self._done_bytes / max(1, self._bytes)),
            time.monotonic() - self.began,
            self._before,
        )
