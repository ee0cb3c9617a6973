"""A worker: a process that answers behind another, on a Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import sys

from unrolled.errors import ConfigError
from unrolled.serve.server import SWITCH, Settings, listening, make_server
from unrolled.serve.upstream import Upstream, UpstreamError

__all__ = ["Worker"]

STARTING = 120.0
"""Seconds that a worker may take to load its runs."""


class Worker:
    """A worker.

    Args:
        number: its number.
        generation: number of the workers that had this number before.
        settings: its settings, with a socket of its own.
    """

    def __init__(self, number: int, generation: int, settings: Settings) -> None:
        self.number, self.generation, self.settings = number, generation, settings
        assert settings.unix is not None
        self.upstream = Upstream(settings.unix)
        self.active = self.asked = 0  # requests under way, and all so far
        self.sessions: dict[str, str] = {}  # the run of each
        self.ready = self.lost = False
        context = multiprocessing.get_context("spawn")
        self.process = context.Process(target=_work, args=(settings, f"{number}.{generation}-"), daemon=True)
        self.process.start()

    @property
    def prefix(self) -> str:
        """The beginning of the names of its sessions."""
        return f"{self.number}.{self.generation}-"

    async def wait(self) -> None:
        """Wait until it answers.

        Raises:
            ConfigError: it has ended, or takes too long.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + STARTING
        while loop.time() < until and self.process.is_alive():
            with contextlib.suppress(UpstreamError):
                reply = await self.upstream.ask("GET", b"/readyz", (), b"")
                async for _ in reply.body:
                    pass
                if reply.status == 200:
                    self.ready = True
                    return
            await asyncio.sleep(0.05)
        raise ConfigError(f"worker {self.number} has not started")


def _work(settings: Settings, prefix: str) -> None:
    """Serve in a worker, until SIGTERM or the end of the process in front."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal; the process in front ends its workers
    sys.setswitchinterval(SWITCH)
    server = make_server(settings, listening(settings), prefix=prefix, share=True)
    parent = os.getppid()

    async def orphaned() -> None:
        while os.getppid() == parent:
            await asyncio.sleep(0.5)
        server.stop()

    server.background = orphaned
    server.serve_forever()
