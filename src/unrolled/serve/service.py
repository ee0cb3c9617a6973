"""The parts of a running server that its routes share, and the forms of their answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from unrolled.serve.bodies import ClientGoneError
from unrolled.serve.limits import Limits
from unrolled.serve.metrics import Metrics
from unrolled.serve.registry import Runs, Served
from unrolled.serve.work import Work

__all__ = ["JSON_LINES", "Service", "as_json", "json_response"]

JSON_LINES = "application/jsonl"
WATCH_AFTER = 0.01  # seconds; a client of a quicker answer is not watched


@dataclass
class Service:
    """The parts of a running server.

    Args:
        runs: the runs.
        limits: limits of the server.
        metrics: counters.
        ready: whether all runs are loaded.
        draining: whether the server ends.
        sessions: the sessions.
    """

    runs: Runs
    limits: Limits
    metrics: Metrics
    ready: bool = False
    draining: bool = False
    sessions: Any = None

    def drain(self) -> None:
        """End the streams of events, which would last for ever."""
        self.sessions.drain()

    def served(self, request: Request) -> Served:
        """Return the run that a request names.

        Raises:
            RequestError: there is none of this name, or its queue is full.
        """
        served = self.runs[request.path_params["run"]]
        if served.batcher.full:  # before the body is read: a refusal must be quick
            raise served.batcher.overloaded()
        return served


def as_json(value: Any) -> bytes:
    """Return a value as `--json` prints it, without a line end.

    An answer, which is a dataclass, is written by its fields: `to_dict` would copy them first, which takes longer than
    all the rest.
    """
    return json.dumps(value, ensure_ascii=False, default=vars).encode()


def json_response(value: Any, status: int = 200) -> Response:
    """Return a response with a value as JSON."""
    return Response(as_json(value), status_code=status, media_type="application/json")


async def answered(served: Served, request: Request, *works: Work) -> list[Any]:
    """Return the results of works; they are given up if the client leaves.

    Raises:
        ClientGoneError: the client has left.
        RequestError: see `Batcher.answer`.
    """
    loop = asyncio.get_running_loop()
    watch: list[asyncio.Task[None]] = []

    def begin() -> None:
        watch.append(loop.create_task(_give_up(request, works)))

    timer = loop.call_later(WATCH_AFTER, begin)
    try:
        return await served.batcher.answer(*works)
    finally:
        timer.cancel()
        for task in watch:
            task.cancel()


async def _give_up(request: Request, works: tuple[Work, ...]) -> None:
    """Give works up once the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    for work in works:
        work.gone = True
        work.fail(ClientGoneError())


Endpoint = Callable[[Request], Any]
