"""Several processes: one in front accepts and routes, the others answer, each with all runs.

A session lives in one worker, whose number begins its name. Other requests go to the worker with the fewest. The
weights are mapped from their files, so that the system holds them once. A worker that is lost is replaced; its sessions
end with an event, and no other worker answers for them. A request that it had not begun to answer is asked again
elsewhere, unless it is about a session.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from unrolled.errors import ConfigError
from unrolled.serve.bodies import ClientGoneError, read
from unrolled.serve.events import Channel, EventStream, event
from unrolled.serve.guards import respond
from unrolled.serve.metrics import CONTENT_TYPE, Metrics
from unrolled.serve.refusals import RequestError
from unrolled.serve.server import Server, Settings, guarded
from unrolled.serve.service import json_response
from unrolled.serve.upstream import Reply, UpstreamError
from unrolled.serve.worker import Worker

__all__ = ["Front", "make_front"]

PREFIX = re.compile(r"(\d+)\.(\d+)-")
DROPPED = (b"host", b"content-length", b"transfer-encoding", b"connection", b"authorization", b"origin", b"expect")

log = logging.getLogger("unrolled.serve")


class Front:
    """The application of the process in front.

    Args:
        settings: settings of the server.
        count: number of workers.
    """

    def __init__(self, settings: Settings, count: int) -> None:
        self.settings, self.count, self.limits = settings, count, settings.limits
        self.folder = tempfile.TemporaryDirectory(prefix="unrolled-serve-")
        self.workers: list[Worker] = []
        self.draining = False
        self.ready = False
        self._generation = 0
        self._watchers: dict[Channel, str | None] = {}
        self._ended: dict[str, str] = {}
        self._tasks: list[asyncio.Task[Any]] = []

    def start(self) -> None:
        """Start the workers; before the event loop."""
        self.workers = [self._worker(number) for number in range(self.count)]

    def _worker(self, number: int) -> Worker:
        self._generation += 1
        path = str(Path(self.folder.name) / f"{number}.{self._generation}")
        return Worker(number, self._generation, replace(self.settings, unix=path, tokens=(), hosts=()))

    async def begin(self) -> None:
        """Wait until all workers answer."""
        await asyncio.gather(*(worker.wait() for worker in self.workers))
        for worker in self.workers:
            self._watch(worker)
        self.ready = True

    async def end(self) -> None:
        """End the workers."""
        for task in self._tasks:
            task.cancel()
        for worker in self.workers:
            worker.upstream.close()
            worker.process.terminate()
        loop = asyncio.get_running_loop()
        for worker in self.workers:
            await loop.run_in_executor(None, worker.process.join, self.limits.seconds + 5)
        self.folder.cleanup()

    def drain(self) -> None:
        """End the streams of events."""
        for channel in [*self._watchers]:
            channel.close()

    def reload(self) -> None:
        """Let all workers load the runs again."""
        for worker in self.workers:
            if worker.process.pid is not None and worker.process.is_alive():
                os.kill(worker.process.pid, signal.SIGHUP)

    def _watch(self, worker: Worker) -> None:
        """Watch over a worker: its process, and the ends of its sessions."""
        self._tasks.append(asyncio.ensure_future(self._guard(worker)))
        self._tasks.append(asyncio.ensure_future(self._listen(worker)))

    async def _guard(self, worker: Worker) -> None:
        """Replace a worker once it is lost."""
        while worker.process.is_alive():
            await asyncio.sleep(0.05)
        worker.lost = True
        worker.ready = False
        worker.upstream.close()
        log.error("worker %d was lost, with %d sessions; it is replaced", worker.number, len(worker.sessions))
        for name, run in [*worker.sessions.items()]:
            self._say(worker, name, run, "lost: the process that it lived in was lost")
        new = self._worker(worker.number)
        self.workers[worker.number] = new
        with contextlib.suppress(ConfigError):
            await new.wait()
            self._watch(new)

    async def _listen(self, worker: Worker) -> None:
        """Hand on the ends of a worker's sessions."""
        with contextlib.suppress(UpstreamError):
            reply = await worker.upstream.ask("GET", b"/v1/events", (), b"")
            text = b""
            async for part in reply.body:
                *blocks, text = (text + part).split(b"\n\n")
                for block in blocks:
                    if block.startswith(b"event: ended\ndata: "):
                        data = json.loads(block.partition(b"data: ")[2])
                        self._say(worker, data["session"], data["run"], data["reason"])

    def _say(self, worker: Worker, name: str, run: str, reason: str) -> None:
        worker.sessions.pop(name, None)
        said = event("ended", {"session": name, "run": run, "reason": reason})
        for channel, wanted in [*self._watchers.items()]:
            if wanted in (None, name):
                channel.push(said)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, as ASGI asks for it."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        from starlette.requests import Request

        request = Request(scope, receive)
        scope["endpoint"] = self.__call__
        try:
            await self._answer(request, scope, receive, send)
        except RequestError as refused:
            await respond(send, refused)
        except ClientGoneError:
            return

    async def _lifespan(self, receive: Any, send: Any) -> None:
        await receive()
        try:
            await self.begin()
        except ConfigError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.end()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, request: Any, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        if path == "/livez":
            await json_response({"state": "alive"})(scope, receive, send)
            return
        if path == "/readyz":
            if self.draining or not self.ready:
                raise RequestError(503, "the server ends" if self.draining else "runs are being loaded")
            await json_response({"state": "ready"})(scope, receive, send)
            return
        if path == "/v1/events" and scope["method"] == "GET":
            await self._events(request)(scope, receive, send)
            return
        body = await read(request, self.limits)
        headers = [(name, value) for name, value in scope["headers"] if name not in DROPPED]
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        if path == "/metrics":
            await self._metrics(send)
            return
        session = path.split("/")[3] if path.startswith("/v1/sessions/") else None
        tried: set[Worker] = set()
        while True:
            worker = self._find(session, tried)
            tried.add(worker)
            worker.active += 1
            worker.asked += 1
            try:
                reply = await worker.upstream.ask(scope["method"], target, headers, body)
                await self._pass_on(worker, reply, path, receive, send)
                return
            except UpstreamError:
                if session is not None:
                    raise _gone() from None
            finally:
                worker.active -= 1

    def _find(self, session: str | None, tried: set[Worker]) -> Worker:
        """Return the worker of a session, or the one with the fewest requests.

        Raises:
            RequestError: the worker of the session was lost, or there is no other worker.
        """
        if session is not None:
            found = PREFIX.match(session)
            if found is None or int(found[1]) >= self.count:
                raise RequestError(404, "there is no such session", field="session")
            worker = self.workers[int(found[1])]
            if worker.prefix != found[0] or worker.lost:
                known = int(found[2]) <= self._generation
                raise _gone() if known else RequestError(404, "there is no such session", field="session")
            return worker
        ready = [worker for worker in self.workers if worker.ready and worker not in tried]
        if not ready:
            raise RequestError(503, "no worker can answer", hint="ask again", headers={"Retry-After": "1"})
        return min(ready, key=lambda worker: (worker.active, worker.asked))

    async def _pass_on(self, worker: Worker, reply: Reply, path: str, receive: Any, send: Any) -> None:
        """Send an answer on; the connection to the worker closes when the client leaves."""
        kept: list[bytes] | None = [] if reply.status == 201 else None
        first = await anext(reply.body, b"") if reply.status != 200 or not _is_stream(reply) else None
        await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
        watch = asyncio.ensure_future(_left(receive)) if _is_stream(reply) else None
        try:
            if first:
                await send({"type": "http.response.body", "body": first, "more_body": True})
                if kept is not None:
                    kept.append(first)
            async for part in _until(reply.body, watch):
                await send({"type": "http.response.body", "body": part, "more_body": True})
                if kept is not None:
                    kept.append(part)
        except UpstreamError:
            if _is_stream(reply):
                said = event(
                    "error", {"error": "the process that answers was lost", "field": None, "hint": "ask again"}
                )
                await send({"type": "http.response.body", "body": said, "more_body": True})
        finally:
            if watch is not None:
                watch.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        if kept is not None:
            card = json.loads(b"".join(kept))
            worker.sessions[card["session"]] = card["run"]

    def _events(self, request: Any) -> EventStream:
        name, channel = request.query_params.get("session"), Channel()

        async def run() -> None:
            self._watchers[channel] = name
            channel.push(b": watching\n\n")
            try:
                await asyncio.Event().wait()
            finally:
                self._watchers.pop(channel, None)
                channel.close()

        return EventStream(channel, run)

    async def _metrics(self, send: Any) -> None:
        """Send the counters of all workers, each with its number as a label."""
        lines: list[str] = []
        said: set[str] = set()
        for worker in self.workers:
            with contextlib.suppress(UpstreamError):
                reply = await worker.upstream.ask("GET", b"/metrics", (), b"")
                text = b"".join([part async for part in reply.body]).decode()
                for line in text.splitlines():
                    if line.startswith("#"):
                        lines += [line] if line not in said else []
                        said.add(line)
                    else:
                        lines.append(_labelled(line, worker.number))
        body = "".join(f"{line}\n" for line in lines).encode()
        headers = [(b"content-type", CONTENT_TYPE.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def make_front(
    settings: Settings, count: int, sock: socket.socket, started: Callable[[], None] = lambda: None
) -> Server:
    """Return the server of the process in front, whose workers are starting.

    Args:
        settings: settings of the server.
        count: number of workers.
        sock: the socket, which listens.
        started: called once all workers answer.
    """
    front = Front(settings, count)
    front.start()
    config, guards = guarded(front, settings, Metrics())
    return FrontServer(config, front, guards, sock, started)


class FrontServer(Server):
    """The server of the process in front."""

    def stop(self) -> None:
        """Begin to end; a second call ends at once."""
        if not self.service.draining:
            self.service.drain()
        super().stop()

    def reload(self) -> None:
        """Let all workers load the runs again."""
        self.service.reload()


def _is_stream(reply: Reply) -> bool:
    return (b"content-type", b"text/event-stream") in reply.headers or any(
        name == b"content-type" and value.startswith(b"text/event-stream") for name, value in reply.headers
    )


async def _until(parts: AsyncIterator[bytes], watch: asyncio.Future[None] | None) -> AsyncIterator[bytes]:
    """Yield parts until the client has left."""
    if watch is None:
        async for part in parts:
            yield part
        return
    try:
        while True:
            following = asyncio.ensure_future(_next(parts))
            both: set[asyncio.Future[Any]] = {following, watch}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if watch.done():
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
                return
            found = following.result()
            if found is None:
                return
            yield found
    finally:
        await parts.aclose()  # type: ignore[attr-defined]


async def _next(parts: AsyncIterator[bytes]) -> bytes | None:
    """Return the next part; None at the end."""
    return await anext(parts, None)


async def _left(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _labelled(line: str, number: int) -> str:
    """Return a line of metrics with the number of its worker as a label."""
    name, _, rest = line.partition(" ")
    label = f'worker="{number}"'
    return f"{name[:-1]},{label}}} {rest}" if name.endswith("}") else f"{name}{{{label}}} {rest}"


def _gone() -> RequestError:
    return RequestError(
        410,
        "the session has ended: lost: the process that it lived in was lost",
        field="session",
        hint="open a new one, or import the file of an older one",
    )
