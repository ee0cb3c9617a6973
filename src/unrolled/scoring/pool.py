"""Worker processes, each with one job at a time; one that is killed is replaced, and its job is tried once more."""

from __future__ import annotations

import logging
import os
import pickle
import selectors
import subprocess
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import IO, NamedTuple, Self

from unrolled import errors
from unrolled.errors import UnrolledError, WorkerError, reason
from unrolled.scoring.worker import Failed, Job, Written

__all__ = ["Pool"]

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
ENVIRONMENT = {**ONE_THREAD, "TOKENIZERS_PARALLELISM": "false"}
"""Variables with which a worker computes on one core."""
log = logging.getLogger("unrolled")


class _Task(NamedTuple):
    """A job under way.

    Args:
        job: the job.
        about: its part of the work, for messages.
        tried: number of workers that were killed with it.
    """

    job: Job
    about: str
    tried: int = 0


class _Worker:
    """A process, and its job."""

    def __init__(self) -> None:
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", "from unrolled.scoring.worker import main; main()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | ENVIRONMENT,
                process_group=0,  # Ctrl-C reaches this process alone, which ends its workers
            )
        except OSError as error:
            raise WorkerError(f"a worker cannot be started: {reason(error)}; use fewer --workers") from None
        self.task: _Task | None = None

    @property
    def pipe(self) -> IO[bytes]:
        """The pipe of its replies."""
        assert self.process.stdout is not None
        return self.process.stdout

    def begin(self, task: _Task) -> None:
        """Send a job; one that cannot be sent is that of a killed worker, which `Pool.replies` notices."""
        self.task = task
        assert self.process.stdin is not None
        try:
            pickle.dump(task.job, self.process.stdin)
            self.process.stdin.flush()
        except BrokenPipeError:
            return

    def end(self) -> None:
        """Kill the process."""
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                _close(pipe)
        self.process.wait()


class Pool:
    """A number of worker processes, started when jobs come, and killed at the end of the block."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._workers: list[_Worker] = []
        self._ready = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.end()
        self._ready.close()

    @property
    def free(self) -> bool:
        """True if a worker can begin a job."""
        return len(self._workers) < self.size or any(worker.task is None for worker in self._workers)

    @property
    def busy(self) -> bool:
        """True if a job is under way."""
        return any(worker.task is not None for worker in self._workers)

    def begin(self, job: Job, about: str) -> None:
        """Begin a job; `about` names its part of the work."""
        self._begin(_Task(job, about))

    def replies(self) -> Iterator[tuple[Job, Written]]:
        """Wait for workers, and yield the jobs that are done.

        Raises:
            WorkerError: two workers were killed with the same job, or a job met a bug of ours.

        All errors of jobs are possible, too.
        """
        for key, _ in self._ready.select():
            worker: _Worker = key.data
            try:
                reply = pickle.load(worker.pipe)
            except (EOFError, pickle.UnpicklingError):
                self._replace(worker)
                continue
            task, worker.task = worker.task, None
            assert task is not None
            if isinstance(reply, Failed):
                raise _error(reply, task)
            yield task.job, reply

    def _begin(self, task: _Task) -> None:
        worker = next((worker for worker in self._workers if worker.task is None), None)
        if worker is None:
            worker = _Worker()
            self._workers.append(worker)
            self._ready.register(worker.pipe, selectors.EVENT_READ, worker)
        worker.begin(task)

    def _replace(self, worker: _Worker) -> None:
        """Take a killed worker away, and give its job to another.

        Raises:
            WorkerError: it is the second one that was killed with this job.
        """
        self._ready.unregister(worker.pipe)
        self._workers.remove(worker)
        code = worker.process.wait()
        worker.end()
        task = worker.task
        if task is None:
            return
        if task.tried:
            raise WorkerError(
                f"two workers ended ({_ending(code)}) with {task.about}: is there not enough memory? Use fewer "
                "--workers; all that is finished is kept, and the same command goes on"
            )
        log.warning("a worker ended (%s) with %s, which another one does again", _ending(code), task.about)
        self._begin(task._replace(tried=1))


def _ending(code: int) -> str:
    """Return how a process ended, for messages."""
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


def _error(failed: Failed, task: _Task) -> UnrolledError:
    kind = getattr(errors, failed.kind, WorkerError)
    if failed.kind:
        error: UnrolledError = kind(failed.message)
        return error
    raise RuntimeError(f"a worker failed with {task.about}:\n{failed.message}")


def _close(pipe: IO[bytes]) -> None:
    try:
        pipe.close()
    except BrokenPipeError:  # a job that it had not read
        return
