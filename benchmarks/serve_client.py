"""A small client for the measurements of `unrolled serve`: HTTP/1.1 on asyncio, a connection for each asker."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

__all__ = ["Answer", "Asker", "percentile", "pinned", "served"]


class Answer(NamedTuple):
    """An answer.

    Args:
        status: of HTTP.
        body: the body.
        seconds: time from the first byte sent to the last received.
    """

    status: int
    body: bytes
    seconds: float

    @property
    def json(self) -> Any:
        """The body as JSON values."""
        return json.loads(self.body)


class Asker:
    """One connection; opened again when the server has closed it.

    Args:
        port: port of the server on loopback.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def ask(self, path: str, body: Any = None, *, method: str = "POST", kind: str = "application/json") -> Answer:
        """Send a request and return its answer."""
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [
            f"{method} {path} HTTP/1.1",
            "Host: localhost",
            f"Content-Type: {kind}",
            f"Content-Length: {len(data)}",
        ]
        begun = time.perf_counter()
        reader, _ = await self.send("".join(f"{line}\r\n" for line in [*lines, ""]).encode() + data)
        head = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        headers = dict(line.split(b": ", 1) for line in head[1:] if b": " in line)
        found = b"".join([part async for part in _body(reader, headers)])
        answer = Answer(int(head[0].split()[1]), found, time.perf_counter() - begun)
        if headers.get(b"connection") == b"close":
            self.close()
        return answer

    async def send(self, message: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send bytes and return the streams of the connection."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self.port)
        self._streams[1].write(message)
        return self._streams


async def _body(reader: asyncio.StreamReader, headers: dict[bytes, bytes]) -> Any:
    if b"content-length" in headers:
        yield await reader.readexactly(int(headers[b"content-length"]))
        return
    while size := int(await reader.readuntil(b"\r\n"), 16):
        yield await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")


def percentile(values: list[float], fraction: float) -> float:
    """Return the value below which a fraction of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))]


def pinned(core: int | None) -> None:
    """Run this process on one core, where the system has several."""
    if core is not None and len(os.sched_getaffinity(0)) > 1:
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[core]})


@contextlib.contextmanager
def served(*runs: Path | str, arguments: tuple[str, ...] = (), core: int | None = 1) -> Iterator[tuple[Any, int]]:
    """Yield the process of `unrolled serve` on one core, and its port."""
    command = [sys.executable, "-m", "unrolled", "serve", *map(str, runs), "--port", "0", *arguments]
    with process(command, core) as (server, line):
        yield server, int(line.rsplit(":", 1)[1])


@contextlib.contextmanager
def process(command: list[str], core: int | None) -> Iterator[tuple[Any, str]]:
    """Yield a process that says a line once it answers, and the line."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    if core is not None and len(os.sched_getaffinity(0)) > 1:
        os.sched_setaffinity(server.pid, {sorted(os.sched_getaffinity(0))[core]})
    assert server.stdout is not None
    line = server.stdout.readline()
    if not line:
        raise SystemExit(f"{command[:4]} has not started")
    try:
        yield server, line.strip()
    finally:
        server.terminate()
        try:
            server.wait(90)
        except subprocess.TimeoutExpired:
            server.kill()
