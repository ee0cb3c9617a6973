"""Requests to a worker: HTTP/1.1 over a Unix socket, with connections that are used again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

__all__ = ["Reply", "Upstream", "UpstreamError"]

Headers = Sequence[tuple[bytes, bytes]]
MOST_HEAD = 1 << 16


class UpstreamError(Exception):
    """A worker that has not answered: it is gone."""


class Reply(NamedTuple):
    """The head of an answer, and its body in parts.

    Args:
        status: of HTTP.
        headers: the headers, those about the connection left out.
        body: the parts.
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    body: AsyncIterator[bytes]


class Upstream:
    """The connections to one worker.

    Args:
        path: path of its socket.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, method: str, target: bytes, headers: Headers, body: bytes) -> Reply:
        """Return the answer of the worker as soon as its head is here.

        The iterator of its body is to be read to its end or closed, which gives the connection back or closes it.

        Raises:
            UpstreamError: the worker is gone.
        """
        lines = [b"%b %b HTTP/1.1\r\nHost: localhost\r\n" % (method.encode(), target)]
        lines += [b"%b: %b\r\n" % header for header in headers]
        message = b"%bContent-Length: %d\r\n\r\n%b" % (b"".join(lines), len(body), body)
        while True:
            reused = bool(self._idle)
            try:
                reader, writer = self._idle.pop() if reused else await self._connect()
                writer.write(message)
                await writer.drain()
                head = await reader.readuntil(b"\r\n\r\n")
                break
            except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
                if not reused:  # an idle connection may have been closed; a new one shows that the worker is gone
                    raise UpstreamError(str(error)) from None
        status_line, *rest = head[:-4].split(b"\r\n")
        found = [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in rest)]
        named = dict(found)
        kept = [
            (n, v) for n, v in found if n not in (b"connection", b"transfer-encoding", b"content-length", b"keep-alive")
        ]
        length = named.get(b"content-length")
        if length is not None:
            kept.append((b"content-length", length))
        keep = named.get(b"connection", b"").lower() != b"close"
        body_of = _parts(reader, None if length is None else int(length))
        return Reply(int(status_line.split()[1]), kept, self._body(body_of, reader, writer, keep))

    def close(self) -> None:
        """Close all idle connections."""
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(self.path, limit=MOST_HEAD)

    async def _body(
        self, parts: AsyncIterator[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter, keep: bool
    ) -> AsyncIterator[bytes]:
        whole = False
        try:
            async for part in parts:
                yield part
            whole = True
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            raise UpstreamError(str(error)) from None
        finally:
            if whole and keep:
                self._idle.append((reader, writer))
            else:
                writer.close()


async def _parts(reader: asyncio.StreamReader, length: int | None) -> AsyncIterator[bytes]:
    """Yield a body of a length, or in chunks."""
    if length is not None:
        while length:
            part = await reader.read(min(length, 1 << 16))
            if not part:
                raise asyncio.IncompleteReadError(b"", length)
            length -= len(part)
            yield part
        return
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        yield await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
