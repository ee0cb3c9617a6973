"""A pool of workers that is this process, for tests of what workers do."""

from collections import deque
from collections.abc import Iterator
from typing import Any, Self

from unrolled.scoring.pool import _error, _Task
from unrolled.scoring.worker import Failed, Job, Written, _reply


class Here:
    """Each job is done when its reply is waited for, the last one first: the order must not matter."""

    def __init__(self, size: int) -> None:
        self.jobs = deque[_Task]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        return

    @property
    def free(self) -> bool:
        return len(self.jobs) < 3

    @property
    def busy(self) -> bool:
        return bool(self.jobs)

    def begin(self, job: Job, about: str) -> None:
        self.jobs.append(_Task(job, about))

    def replies(self) -> Iterator[tuple[Job, Written]]:
        task = self.jobs.pop()
        reply = _reply(task.job)
        if isinstance(reply, Failed):
            raise _error(reply, task)
        yield task.job, reply
