"""The batcher: one thread works with a run's model, and joins the work of many requests without changing an answer.

In each turn the thread takes the work that has arrived, answers one portion of the questions, lets every row step
once, and hands the results to the event loop. So long work does not delay short work by more than a portion and a
step. A single short question that finds the thread idle is answered on the event loop at once: to wake a thread takes
as long as a small model. A lock says who has the model. Work whose client has left is dropped before it is computed.
The queue is bounded: beyond, a request is refused.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any

import torch

from unrolled.errors import UnrolledError
from unrolled.kernels.freeze import Block
from unrolled.runs.run import Run
from unrolled.scan import Precision, frozen
from unrolled.serve.limits import Limits
from unrolled.serve.metrics import Metrics
from unrolled.serve.refusals import RequestError, refusal
from unrolled.serve.rows import Row, settled, step
from unrolled.serve.work import Call, Questions, Stepping, Work
from unrolled.serve.writing import Writing, write
from unrolled.state import State

__all__ = ["Batcher"]

PORTION = 64
"""Maximum number of inputs that are answered in one call."""
PORTION_CHARACTERS = 1 << 17
"""Maximum number of characters of these inputs; one input may be longer."""
TOGETHER = 256
"""Maximum number of rows in one step."""
CHUNK = 64
"""Maximum number of inputs that a row reads in one step; more are read in several, between which others step."""
SHORT = 512
"""Maximum number of characters of a question that the event loop answers."""
READ = 1_024
"""Maximum number of inputs that all rows with more than one read in one step."""

log = logging.getLogger("unrolled.serve")


class Batcher:
    """The thread of one model.

    Args:
        run: the run.
        name: its name, for metrics.
        limits: limits of the server.
        metrics: counters.
        start: the initial state of a causal model; None for others.
        threads: CPU threads of the model; None: those of torch.
        precision: precision of answers that name none.
    """

    def __init__(
        self,
        run: Run,
        name: str,
        limits: Limits,
        metrics: Metrics,
        *,
        start: State = None,
        threads: int | None = None,
        precision: Precision | None = None,
    ) -> None:
        self.start, self.precision = start, precision
        self._blocks: dict[Precision | None, Block] = {}
        self._outer = frozen(run.model, precision)
        self._owner = Lock()
        self.run, self.name, self.limits, self.metrics, self.threads = run, name, limits, metrics, threads
        self.waiting = 0  # requests that are not finished; counted on the event loop
        self.computed = 0  # inputs and steps that were computed
        self.loop: asyncio.AbstractEventLoop | None = None
        self._inbox: SimpleQueue[Work | None] = SimpleQueue()
        self._questions: deque[Questions] = deque()
        self._stepping: list[Stepping] = []
        self._out: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._thread = Thread(target=self._work, name=f"model {name}", daemon=True)
        self._ended = False
        self._rate = 0.0  # finished requests a second, a running mean
        self._finished_at = time.monotonic()

    def begin(self) -> None:
        """Start the thread; to be called on the event loop."""
        self.loop = asyncio.get_running_loop()
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        self._thread.start()

    def end(self) -> None:
        """End the thread once all of its work is finished."""
        if not self._ended:
            self._ended = True
            self._inbox.put(None)

    @property
    def full(self) -> bool:
        """True if the queue is full."""
        return self.waiting >= self.limits.queue

    def overloaded(self) -> RequestError:
        """Return the refusal of a request that finds a full queue, with an estimate of the time until it is shorter."""
        seconds = min(60, math.ceil(self.waiting / max(self._rate, 1.0)))
        return RequestError(
            503,
            f"{self.waiting:,} requests wait for this run already",
            hint=f"ask again in {seconds} s",
            headers={"Retry-After": str(seconds)},
        )

    async def answer(self, *works: Work) -> list[Any]:
        """Return the results of the works of one request; if it is cancelled, they are given up.

        Raises:
            RequestError: the queue is full, the time is over, or a work was refused.
        """
        if self.full:
            raise self.overloaded()
        self.waiting += 1
        try:
            if len(works) != 1 or not await self._at_once(works[0]):
                for work in works:
                    self._inbox.put(work)
            return [await work.future for work in works]
        finally:
            for work in works:
                work.gone = True
                if work.future.done() and not work.future.cancelled():
                    work.future.exception()  # seen, where another work of the request has failed first
            self._count_finished()

    async def _at_once(self, work: Work) -> bool:
        """Answer a single short question on the event loop, if nothing else waits; return whether it was."""
        if self.waiting > 1 or not isinstance(work, Questions) or not self._is_short(work):
            return False
        await asyncio.sleep(0)  # requests that have arrived together with it join it in a batch
        if self.waiting > 1 or not self._owner.acquire(blocking=False):
            return False
        try:
            with self._outer:
                self._decode([(work, work.inputs)])
            out, self._out = self._out, []
        finally:
            self._owner.release()
        _run_all(out)
        return True

    def _is_short(self, work: Questions) -> bool:
        one = work.shared and len(work.inputs) == 1 and self.run.config.task != "translate"
        return one and sum(map(len, work.inputs[0])) <= SHORT

    def wake(self) -> None:
        """Let the thread look at its work again, after a row is no longer paused."""
        self._inbox.put(_NOTHING)

    def emit(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call a function on the event loop at the end of the turn; for the batcher's own thread."""
        self._out.append((function, arguments))

    def _count_finished(self) -> None:
        self.waiting -= 1
        now = time.monotonic()
        gap, self._finished_at = now - self._finished_at, now
        weight = min(1.0, gap)  # a mean over about a second
        self._rate += weight * (1 / max(gap, 1e-6) - self._rate)

    def _work(self) -> None:
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        with self._outer:
            while self._turn():
                pass

    def _turn(self) -> bool:
        """Do one turn; return False at the end."""
        idle = not self._questions and all(work.paused for work in self._stepping)
        arrived, more = self._arrived(wait=idle)
        with self._owner:
            try:
                for work in arrived:
                    self._guarded(work, work.function)
                self._drop()
                self._answer_portion()
                self._step()
            except Exception as error:
                log.exception("a turn of %s failed", self.name)  # a bug of ours ends its requests, and not the thread
                self._fail_all(error)
            self._hand_out()
        if not more and not self._questions and not self._stepping:
            return False
        if not more:
            self._inbox.put(None)  # seen again once the work is finished
        return True

    def _arrived(self, *, wait: bool) -> tuple[list[Call], bool]:
        """Take the work that has arrived; return the calls among it, and False if there will be no more work."""
        calls, more = list[Call](), True
        try:
            work = self._inbox.get(block=wait)
            while True:
                if work is None:
                    more = False
                elif isinstance(work, Questions):
                    self._questions.append(work)
                elif isinstance(work, Stepping):
                    self._stepping.append(work)
                elif isinstance(work, Call) and not work.gone:
                    calls.append(work)
                if not more and self._inbox.empty():
                    break
                work = self._inbox.get_nowait()
        except Empty:
            pass
        return calls, more

    def _guarded(self, work: Work, function: Callable[[], Any]) -> None:
        """Call a function for a work and hand out its result, or its error."""
        try:
            self.emit(work.finish, function())
        except RequestError as error:
            self.emit(work.fail, error)
        except UnrolledError as error:
            self.emit(work.fail, refusal(error))

    def _drop(self) -> None:
        """Drop the work of clients who have left, and refuse that which has waited too long."""
        now = time.monotonic()
        for queue in (self._questions, self._stepping):
            for work in [work for work in queue if work.gone or work.deadline < now]:
                queue.remove(work)  # type: ignore[arg-type]
                if not work.gone:
                    self.emit(work.fail, work.expired())

    def _answer_portion(self) -> None:
        """Answer a portion of the oldest questions, and of others with the same options."""
        if not self._questions:
            return
        first = self._questions[0]
        same = [work for work in self._questions if work.key == first.key] if first.shared else [first]
        share = max(1, PORTION // len(same)) if first.shared else len(first.inputs)
        portion: list[tuple[Questions, Sequence[Any]]] = []
        room, characters = PORTION, PORTION_CHARACTERS
        for work in same:
            count, most = 0, min(share, room, work.left) if work.shared else work.left
            while count < most and characters > 0:
                characters -= len(work.inputs[len(work.answers) + count]) if work.shared else 0
                count += 1
            if count:
                portion.append((work, work.inputs[len(work.answers) : len(work.answers) + count]))
                room -= count
        self._decode(portion)
        for work, _ in portion:
            self._questions.remove(work)
            if work.left and not work.future.done() and not work.gone:
                self._questions.append(work)  # others take their turn

    def _decode(self, portion: Sequence[tuple[Questions, Sequence[Any]]]) -> None:
        """Answer the inputs of several works in one call, or one by one where the call is refused."""
        every = [each for _, some in portion for each in some] if portion[0][0].shared else portion[0][1]
        try:
            answers = self.run.decode(every, **portion[0][0].options)
        except UnrolledError as error:
            if len(portion) > 1:
                for part in portion:
                    self._decode([part])
                return
            self.emit(portion[0][0].fail, refusal(error))
            portion[0][0].gone = True
            return
        self.computed += len(every)
        self.metrics.batch(self.name, len(every))
        start = 0
        for work, some in portion:
            work.answers += answers[start : start + len(some)]
            start += len(some)
            if not work.left:
                self.emit(work.finish, work.answers)

    def _step(self) -> None:
        """Let the rows read once, at most TOGETHER of them in turn, and those that write choose a token."""
        active: list[Stepping] = []
        for work in self._stepping:
            if work.row is None:
                self._make(work)
            if work.row is not None and not work.paused and not work.done(work.row) and len(active) < TOGETHER:
                active.append(work)
        stepped: list[Row] = []
        for precision in dict.fromkeys(work.precision for work in active):
            rows = [work.row for work in active if work.precision == precision and work.row is not None]
            single = [row for row in rows if row.waiting == 1]
            reading, room = [], READ
            for row in rows:
                if row.waiting > 1 and room > 0:
                    reading.append(row)
                    room -= min(CHUNK, row.waiting)
            with self._weights(precision):
                if single:
                    step(self.run.model, self.start, single, 1)
                if reading:
                    step(self.run.model, self.start, reading, CHUNK)
            stepped += [*single, *reading]
        if stepped:
            self.computed += len(stepped)
            self.metrics.batch(self.name, len(stepped))
            write([row for row in stepped if isinstance(row, Writing) and row.error is None])
        done = {id(row) for row in stepped}
        late = [work for work in self._stepping if id(work.row) not in done]  # they take their turn first
        others = [work for work in self._stepping if id(work.row) in done]
        self._stepping = [work for work in [*late, *others] if not self._ends(work)]

    def _weights(self, precision: Precision | None) -> Block:
        """Return the packed weights of a precision, for a block of calls."""
        if precision not in self._blocks:
            self._blocks[precision] = frozen(self.run.model, precision)
        return self._blocks[precision]

    def _make(self, work: Stepping) -> None:
        """Make the row of a work; one that cannot be made is refused."""
        try:
            with self._weights(work.precision):
                work.row = work.make()
            if isinstance(work.row, Writing):  # a session knows the logits of its next token
                write([work.row])
        except UnrolledError as error:
            work.gone = True
            self.emit(work.fail, refusal(error))

    def _ends(self, work: Stepping) -> bool:
        """Hand out the result of a row that has ended; return whether it has."""
        row = work.row
        if row is None:
            return work.gone
        if row.error is not None:
            self.emit(work.fail, refusal(row.error))
            return True
        if not work.done(row):
            return False
        row.state = settled(row.state)
        self._guarded(work, lambda: work.result(row))
        return True

    def _hand_out(self) -> None:
        """Hand the results of this turn to the event loop, all at once."""
        if self._out and self.loop is not None and not self.loop.is_closed():
            out, self._out = self._out, []
            self.loop.call_soon_threadsafe(_run_all, out)

    def _fail_all(self, error: BaseException) -> None:
        for work in [*self._questions, *self._stepping]:
            self.emit(work.fail, error)
        self._questions.clear()
        self._stepping.clear()


class _Nothing(Work):
    def __init__(self) -> None:
        self.gone = True


_NOTHING = _Nothing()


def _run_all(out: Sequence[tuple[Callable[..., None], tuple[Any, ...]]]) -> None:
    for function, arguments in out:
        function(*arguments)
