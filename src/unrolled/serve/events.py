"""Server-sent events: a stream of small JSON objects, each handed to the socket as soon as it is known.

    event: text
    data: {"text": "To be"}

A client that reads more slowly than a model writes makes the row pause: nothing is written that would only wait.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.responses import Response

__all__ = ["Channel", "EventStream", "event"]

MOST_WAITING = 1 << 16
"""Bytes that wait for a client, beyond which its row pauses."""
HEARTBEAT = 15.0
"""Seconds after which a comment is sent, so that nothing between server and client ends the connection."""


def event(name: str, data: Mapping[str, Any]) -> bytes:
    """Return an event; JSON has no line end, so that `data` is one line."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), json.dumps(data, ensure_ascii=False).encode())


class Channel:
    """Bytes on their way from the event loop's callbacks to one client.

    Args:
        pause: called with True when too many bytes wait, and with False when they are sent.
    """

    def __init__(self, pause: Callable[[bool], None] = lambda paused: None) -> None:
        self.pause, self.closed, self.paused = pause, False, False
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._reader: asyncio.Future[None] | None = None

    def push(self, data: bytes) -> None:
        """Add bytes."""
        self._waiting.append(data)
        self._bytes += len(data)
        if self._bytes > MOST_WAITING and not self.paused:
            self.paused = True
            self.pause(True)
        self._notify()

    def close(self) -> None:
        """End the stream after the bytes that wait."""
        self.closed = True
        self._notify()

    async def next(self) -> bytes:
        """Return all bytes that wait, at least one; b"" at the end."""
        while not self._waiting and not self.closed:
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        data = b"".join(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        if self.paused:
            self.paused = False
            self.pause(False)
        return data

    def _notify(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


class EventStream(Response):
    """A response that sends the events of a channel until it is closed.

    Args:
        channel: the channel.
        work: fills the channel and closes it; cancelled when the client leaves.
    """

    media_type = "text/event-stream"

    def __init__(self, channel: Channel, work: Callable[[], Awaitable[None]]) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self.channel, self.work = channel, work
        self.raw_headers = [(name, value) for name, value in self.raw_headers if name != b"content-length"]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send the stream, as ASGI asks for it."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        work = asyncio.ensure_future(self.work())
        watch = asyncio.ensure_future(_left(receive))
        watch.add_done_callback(lambda _: self.channel.close())
        loop = asyncio.get_running_loop()
        beat = loop.call_later(HEARTBEAT, self._beat)
        try:
            while (data := await self.channel.next()) and not watch.done():
                await send({"type": "http.response.body", "body": data, "more_body": True})
            if not watch.done():
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            beat.cancel()
            watch.cancel()
            work.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)

    def _beat(self) -> None:
        if not self.channel.closed:
            self.channel.push(b": still here\n\n")
            asyncio.get_running_loop().call_later(HEARTBEAT, self._beat)


async def _left(receive: Any) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
