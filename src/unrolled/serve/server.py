"""The process: a socket, signals, and the life of the application.

SIGTERM and Ctrl-C drain: /readyz says so, the connections that wait to be accepted are accepted, no new ones are,
every request is answered, and each answer closes its connection. A second signal ends at once. SIGHUP loads all runs
again; requests that have begun are answered by the old ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from unrolled.errors import ConfigError, UnrolledError, of_system
from unrolled.scan import Precision
from unrolled.serve.app import make_app
from unrolled.serve.guards import LOOPBACK, Guards
from unrolled.serve.limits import Limits
from unrolled.serve.metrics import Metrics
from unrolled.serve.protocol import Protocol
from unrolled.serve.registry import Runs, names_of
from unrolled.serve.service import Service
from unrolled.serve.sessions import Sessions

__all__ = ["Server", "Settings", "listening", "make_server", "serve"]

QUIET = 0.25
"""Seconds without a request after which idle connections are closed at the end."""
SWITCH = 0.0005
"""Seconds after which a thread that waits for the interpreter gets it: the event loop must not wait for a model."""

log = logging.getLogger("unrolled.serve")


@dataclass(frozen=True)
class Settings:
    """Settings of a server.

    Args:
        runs: folders of runs, or NAME=FOLDER.
        host, port: the address; port 0 is a free one.
        tokens: tokens, of which a request needs one.
        hosts: further names that a request may have as its Host.
        limits: its limits.
        device: device to compute on.
        threads: CPU threads of each model; None: one a model.
        precision: precision of answers that name none.
        unix: path of a socket in place of host and port, as between the processes of one server.
    """

    runs: Sequence[str]
    host: str = "127.0.0.1"
    port: int = 8000
    tokens: Sequence[str] = ()
    hosts: Sequence[str] = ()
    limits: Limits = field(default_factory=Limits)
    device: str = "auto"
    threads: int | None = None
    precision: Precision | None = None
    unix: str | None = None


class Server(uvicorn.Server):
    """A server of one process.

    Args:
        config: settings of uvicorn.
        service: the parts of the application.
        guards: the guards around it.
        sock: the socket, which listens.
        started: called once it answers.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        service: Any,
        guards: Guards,
        sock: socket.socket,
        started: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(config)
        self.service, self.guards, self.sock, self.when_started = service, guards, sock, started
        self.background: Callable[[], Any] | None = None  # a coroutine function that runs beside
        self._tasks: set[asyncio.Task[Any]] = set()

    def serve_forever(self) -> None:
        """Serve until a signal has ended the server."""
        self.run(sockets=[self.sock])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve."""
        self.loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.background is not None:
            self._start(self.background())
        self.when_started()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals in the block as this server does."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ValueError, RuntimeError):  # not in the main thread: a test ends it by `stop`
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self.stop)
            loop.add_signal_handler(signal.SIGHUP, self.reload)
        yield

    def stop(self) -> None:
        """Begin to end; a second call ends at once."""
        if self.service.draining or not self.started:
            self.force_exit = self.should_exit = True
            return
        self.service.draining = self.guards.draining = True
        self.service.drain()
        self._start(self._drain())

    def reload(self) -> None:
        """Load all runs again, and serve them once all are loaded."""
        self._start(self._reload())

    def _start(self, coroutine: Any) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        waiting = self.sock.dup()  # keeps the connections that nobody has accepted yet
        for server in self.servers:
            server.close()
        waiting.setblocking(False)
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = waiting.accept()
                await loop.connect_accepted_socket(self._protocol, accepted)
        waiting.close()
        until = time.monotonic() + self.service.limits.seconds
        begun = time.monotonic()
        while time.monotonic() < until and not self.should_exit:
            quiet = time.monotonic() - max(begun, self.guards.last)
            if not self.guards.active and (quiet > QUIET or not self.server_state.connections):
                break
            await asyncio.sleep(0.02)
        self.should_exit = True

    def _protocol(self) -> Any:
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    async def _reload(self) -> None:
        runs = self.service.runs
        try:
            loaded = await asyncio.get_running_loop().run_in_executor(None, runs.load)
            runs.begin(loaded)
        except (UnrolledError, OSError) as error:
            log.error("the runs could not be loaded again, and the old ones are served: %s", error)
        else:
            log.info("%d runs loaded again", len(loaded))


def make_server(
    settings: Settings,
    sock: socket.socket,
    started: Callable[[], None] = lambda: None,
    *,
    prefix: str = "",
    share: bool = False,
) -> Server:
    """Return a server whose runs are loaded.

    Args:
        settings: its settings.
        sock: the socket, which listens.
        started: called once it answers.
        prefix: beginning of the names of its sessions.
        share: whether weights are mapped from their files, to be shared with other processes.

    Raises:
        ConfigError: a name or setting that is refused.
        CheckpointError: a run that cannot be loaded.
    """
    limits, metrics = settings.limits, Metrics()
    threads = settings.threads or 1
    how: dict[str, Any] = {"threads": threads, "share": share, "precision": settings.precision}
    runs = Runs(names_of(settings.runs), limits, metrics, **how, device=settings.device)
    loaded = runs.load()
    service = Service(runs, limits, metrics)
    service.sessions = Sessions(limits, metrics, prefix)

    async def begin() -> None:
        runs.begin(loaded)
        service.sessions.begin()
        service.ready = True

    async def end() -> None:
        service.sessions.end()
        runs.end()

    app = make_app(service, begin=begin, end=end)
    config, guards = guarded(app, settings, metrics)
    return Server(config, service, guards, sock, started)


def guarded(app: Any, settings: Settings, metrics: Metrics) -> tuple[uvicorn.Config, Guards]:
    """Return an application behind its guards, and the settings of the HTTP server in front of them."""
    limits = settings.limits
    hosts = {settings.host, *LOOPBACK, *settings.hosts}
    guards = Guards(app, hosts=hosts, tokens=settings.tokens, limits=limits, metrics=metrics)
    config = uvicorn.Config(
        guards,
        http=Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=int(limits.seconds) + 1,
        limit_concurrency=limits.connections,
    )
    Protocol.read_seconds = limits.read_seconds
    return config, guards


def listening(settings: Settings) -> socket.socket:
    """Return the socket of a server, which listens.

    Raises:
        ConfigError: an address beyond loopback without a token, or one that cannot be used.
    """
    if settings.unix is None and settings.host not in LOOPBACK and not settings.tokens:
        raise ConfigError(
            f"{settings.host} can be reached from other machines: give a token with --token-file FILE, or serve on "
            "127.0.0.1"
        )
    internet = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    sock = socket.socket(internet if settings.unix is None else socket.AF_UNIX)
    try:
        if settings.unix is not None:
            sock.bind(settings.unix)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((settings.host, settings.port))
        sock.listen(2048)
    except (OSError, UnicodeError) as error:
        sock.close()
        raise ConfigError(f"cannot listen on {settings.host}:{settings.port}: {of_system(error)}") from None
    sock.setblocking(False)
    return sock


def address(settings: Settings, sock: socket.socket) -> str:
    """Return the address of a server as a URL."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{sock.getsockname()[1]}"


def serve(settings: Settings, *, workers: int = 1, report: Callable[[str], None] = lambda line: None) -> None:
    """Serve runs until a signal.

    Args:
        settings: settings of the server.
        workers: number of processes that answer; above 1 another one in front of them accepts and routes.
        report: called with a line once the server answers.

    Raises:
        ConfigError: a name or setting that is refused, an address that cannot be used.
        CheckpointError: a run that cannot be loaded.
    """
    names = ", ".join(names_of(settings.runs))
    sys.setswitchinterval(SWITCH)
    with contextlib.closing(listening(settings)) as sock:
        line = f"serving {names} on {address(settings, sock)}"
        if workers > 1:
            from unrolled.serve.workers import make_front

            make_front(settings, workers, sock, lambda: report(line)).serve_forever()
        else:
            make_server(settings, sock, lambda: report(line)).serve_forever()
