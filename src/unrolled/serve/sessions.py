"""Sessions: a model's state between requests, as a value. A fork keeps the value, a rewind goes back to a marked one.

A request that fails, or whose client leaves, changes nothing: the new value is taken only with the answer. Sessions are
bounded in number and bytes. Where there is no room, the one that was used least recently ends; one that is not used
expires. Neither is silent: the end is an event of /v1/events, and later requests are told the reason (410).
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from unrolled.errors import excerpt
from unrolled.serve.events import Channel, event
from unrolled.serve.limits import Limits
from unrolled.serve.metrics import Metrics
from unrolled.serve.points import Point, size_of
from unrolled.serve.refusals import RequestError, unknown
from unrolled.serve.registry import Served

__all__ = ["Session", "Sessions"]

REMEMBERED = 10_000
"""Number of ended sessions whose reason is known."""


class Session:
    """A session.

    Args:
        name: its name, which nobody can guess.
        served: its run, which it keeps when the runs are loaded again.
        point: its present value.
    """

    def __init__(self, name: str, served: Served, point: Point) -> None:
        self.name, self.served, self.point = name, served, point
        self.marks: dict[str, Point] = {}
        self.used = time.monotonic()
        self.busy = False
        self.bytes = 0

    def card(self) -> dict[str, Any]:
        """Return its description."""
        return {
            "session": self.name,
            "run": self.served.name,
            "steps": self.point.steps,
            "marks": {name: point.steps for name, point in self.marks.items()},
            "bytes": self.bytes,
        }


class Sessions:
    """All sessions of a process.

    Args:
        limits: limits of the server.
        metrics: counters.
        prefix: beginning of their names: the number of the process.
    """

    def __init__(self, limits: Limits, metrics: Metrics, prefix: str = "") -> None:
        self.limits, self.metrics, self.prefix = limits, metrics, prefix
        self.bytes = 0
        self._sessions: OrderedDict[str, Session] = OrderedDict()  # the least recently used first
        self._ended: OrderedDict[str, str] = OrderedDict()
        self._watchers: dict[Channel, str | None] = {}
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self) -> None:
        """Begin to let sessions expire; on the event loop."""
        self._task = asyncio.ensure_future(self._expire())

    def drain(self) -> None:
        """End the streams of events, which would last for ever."""
        for channel in [*self._watchers]:
            channel.close()

    def end(self) -> None:
        """End the task."""
        if self._task is not None:
            self._task.cancel()

    def find(self, name: str) -> Session:
        """Return a session.

        Raises:
            RequestError: it has ended, or there is none of this name.
        """
        session = self._sessions.get(name)
        if session is None:
            reason = self._ended.get(name)
            if reason is not None:
                raise RequestError(410, f"the session has ended: {reason}", field="session", hint="open a new one")
            raise unknown("session", name, "POST /v1/runs/RUN/sessions opens one")
        return session

    @contextmanager
    def using(self, name: str) -> Iterator[Session]:
        """Return a session for one request; others are refused meanwhile.

        Raises:
            RequestError: see `find`; or another request uses it.
        """
        session = self.find(name)
        if session.busy:
            raise RequestError(
                409, "another request uses this session", field="session", hint="wait for its answer, or fork"
            )
        session.busy = True
        try:
            yield session
        finally:
            session.busy = False
            self.touch(session)

    def touch(self, session: Session) -> None:
        """Note that a session was used just now."""
        session.used = time.monotonic()
        if session.name in self._sessions:
            self._sessions.move_to_end(session.name)

    def open(self, served: Served, point: Point, marks: dict[str, Point] | None = None) -> Session:
        """Return a new session at a point.

        Raises:
            RequestError: there is no room, and all other sessions are in use.
        """
        session = Session(self.prefix + secrets.token_urlsafe(16), served, point)
        session.marks = dict(marks or {})
        session.bytes = _bytes(session)
        self._make_room(session.bytes, new=True)
        self._sessions[session.name] = session
        self.bytes += session.bytes
        served.sessions += 1
        self._count()
        return session

    def move(self, session: Session, point: Point, marks: dict[str, Point] | None = None) -> None:
        """Give a session a new value.

        Raises:
            RequestError: it has ended meanwhile, or there is no room for its marks.
        """
        if session.name not in self._sessions:
            self.find(session.name)
        before, (old, old_marks) = session.bytes, (session.point, session.marks)
        session.point, session.marks = point, session.marks if marks is None else marks
        size = _bytes(session)
        try:
            self._make_room(size - before, keep=session)
        except RequestError:
            session.point, session.marks = old, old_marks
            raise
        session.bytes = size
        self.bytes += size - before
        self._count()

    def close(self, session: Session, reason: str) -> None:
        """End a session, and say so."""
        if self._sessions.pop(session.name, None) is None:
            return
        self.bytes -= session.bytes
        session.served.sessions -= 1
        session.served.end_if_unused()
        self._ended[session.name] = reason
        if len(self._ended) > REMEMBERED:
            self._ended.popitem(last=False)
        self.metrics.ended.labels(reason.partition(":")[0]).inc()
        self._count()
        said = event("ended", {"session": session.name, "run": session.served.name, "reason": reason})
        for channel, name in [*self._watchers.items()]:
            if name in (None, session.name):
                channel.push(said)

    def watch(self, channel: Channel, name: str | None) -> None:
        """Send the ends of sessions to a channel, all or those of one."""
        self._watchers[channel] = name

    def unwatch(self, channel: Channel) -> None:
        """Send no more to a channel."""
        self._watchers.pop(channel, None)

    def _make_room(self, size: int, *, new: bool = False, keep: Session | None = None) -> None:
        """End the sessions used least recently until there is room; those in use stay."""
        while len(self._sessions) + new > self.limits.sessions or self.bytes + size > self.limits.session_bytes:
            idle = next((each for each in self._sessions.values() if not each.busy and each is not keep), None)
            if idle is None or size > self.limits.session_bytes:
                raise RequestError(
                    503,
                    "there is no room for another session",
                    hint="close sessions that are not needed, or raise --sessions and --session-bytes",
                    headers={"Retry-After": "1"},
                )
            self.close(idle, "evicted: it was used least recently, and another needed its room")

    def _count(self) -> None:
        self.metrics.sessions.set(len(self._sessions))
        self.metrics.session_bytes.set(self.bytes)

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(min(1.0, self.limits.session_seconds / 4))
            old = time.monotonic() - self.limits.session_seconds
            for session in [*self._sessions.values()]:
                if session.used > old:
                    break
                if not session.busy:
                    self.close(session, f"expired: it was not used for {self.limits.session_seconds:g} s")


def _bytes(session: Session) -> int:
    """Return the size of the values of a session; one that is marked several times counts once."""
    points = {id(point.state): point for point in (session.point, *session.marks.values())}
    return sum(map(size_of, points.values()))


def named(value: Any) -> str:
    """Return the name of a mark.

    Raises:
        RequestError: it is no text of 1 to 100 characters.
    """
    if not isinstance(value, str) or not 0 < len(value) <= 100:
        raise RequestError(
            422, f"mark must be a text of 1 to 100 characters: got {excerpt(repr(value), 40)}", field="mark"
        )
    return value


__all__ += ["named"]
