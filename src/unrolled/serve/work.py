"""Work that waits for a model: questions, which are answered in portions, and rows, which step.

A work belongs to one request. The event loop creates it, may give it up (`gone`), and receives its result; in between
only the thread of the batcher touches it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from unrolled.scan import Precision
from unrolled.serve.refusals import RequestError
from unrolled.serve.rows import Row

__all__ = ["Call", "Questions", "Stepping", "Work"]


class Work:
    """Base of all work.

    Args:
        seconds: time after which it is refused.
    """

    def __init__(self, seconds: float) -> None:
        self.deadline = time.monotonic() + seconds
        self.gone = False
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def finish(self, result: Any) -> None:
        """Set the result, on the event loop."""
        if not self.future.done():
            self.future.set_result(result)

    def fail(self, error: BaseException) -> None:
        """Set the error, on the event loop."""
        if not self.future.done():
            self.future.set_exception(error)

    def expired(self) -> RequestError:
        """Return the refusal of work that has waited too long."""
        return RequestError(
            503,
            "the time limit of a request is over",
            hint="ask for less at once, or raise --seconds",
            headers={"Retry-After": "1"},
        )


class Questions(Work):
    """Inputs that `run.decode` answers with one set of options; questions with equal options share calls.

    Args:
        seconds: see Work.
        inputs: texts, sentences or sources; or one array of images.
        options: options of `decode`.
        shared: whether inputs of several requests may share a call.
    """

    def __init__(self, seconds: float, inputs: Sequence[Any], options: dict[str, Any], *, shared: bool) -> None:
        super().__init__(seconds)
        self.inputs, self.options, self.shared = inputs, options, shared
        self.key = repr(sorted(options.items())) if shared else None
        self.answers: list[Any] = []

    @property
    def left(self) -> int:
        """Number of inputs without an answer."""
        return len(self.inputs) - len(self.answers)


class Stepping(Work):
    """A row that steps until it is done.

    Args:
        seconds: see Work.
        make: makes the row, on the batcher's thread.
        done: returns True if the row has ended.
        result: makes the result of an ended row, on the batcher's thread.
        precision: that of its steps; None: the server's.
    """

    def __init__(
        self,
        seconds: float,
        make: Callable[[], Row],
        done: Callable[[Row], bool],
        result: Callable[[Row], Any],
        precision: Precision | None = None,
    ) -> None:
        super().__init__(seconds)
        self.make, self.done, self.result, self.precision = make, done, result, precision
        self.row: Row | None = None
        self.paused = False  # its client does not read as fast as it is written


class Call(Work):
    """A function that is called once, between two steps.

    Args:
        seconds: see Work.
        function: the function.
    """

    def __init__(self, seconds: float, function: Callable[[], Any]) -> None:
        super().__init__(seconds)
        self.function = function
