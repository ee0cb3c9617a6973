"""Progress on standard error: a bar on a terminal, plain lines in a file or a pipe.

Lines go through `logging`, which ignores a closed standard error, so that a training does not fail because of it.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

from unrolled.cli.console import Console
from unrolled.cli.wrapping import wrapped

if TYPE_CHECKING:
    from unrolled.scoring.session import Progress as FilesDone
    from unrolled.training import Event

__all__ = ["FilesProgress", "Progress", "show_log"]

log = logging.getLogger(__name__)
console = Console(stderr=True)

LOG_SECONDS = 60  # between lines of a log, where no evaluation is due
SHOWN: dict[str, Callable[[float], str]] = {
    "accuracy": "accuracy {:.1%}".format,
    "micro_f1": "micro-F1 {:.1%}".format,
    "r2": "R² {:.3f}".format,
    "bleu": "BLEU {:.1f}".format,
}
"""Figures on the validation split that a line shows."""


@contextmanager
def show_log(quiet: bool = False, *, silent: bool = False, name: str = "unrolled") -> Iterator[None]:
    """Show the messages of the logger `name` and its children; if `quiet`, warnings only; if `silent`, none."""
    logger = logging.getLogger(name)
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if console.is_interactive:
        handler = _Lines()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.CRITICAL if silent else logging.WARNING if quiet else logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _Lines(logging.Handler):
    """Log lines above the bar of a terminal, broken between words, so that a path can be copied."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        console.print(wrapped(self.format(record), console.width), soft_wrap=True)


class _Display:
    """A bar of a terminal, which is removed in the end; none elsewhere.

    Args:
        title: name of the work.
        total: its size; None: the first report tells.
        counts: whether the bar shows what is done as a number.
    """

    def __init__(self, title: str, total: float | None, *, counts: bool) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar  # slow to import, and answers need no bar

        self.bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            *([MofNCompleteColumn()] if counts else []),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            redirect_stdout=False,  # rich would take escape sequences of other output for styles
            redirect_stderr=False,
        )
        self.logged = time.monotonic()
        self.task = self.bar.add_task(title, total=total, speed="")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if console.is_interactive:
            self.bar.stop()


class Progress(_Display):
    """Display of a training's progress, for `unrolled.train(report=…)`: updates, and a line for every evaluation."""

    def __init__(self, title: str = "training") -> None:
        super().__init__(title, None, counts=True)

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if not log.isEnabledFor(logging.INFO):
            return
        if console.is_interactive:
            self.bar.start()
            speed = f"{event.tokens_per_second:,.0f} tokens/s"
            self.bar.update(self.task, total=event.updates, completed=event.update, speed=speed)
        now = time.monotonic()
        if event.valid is not None or (not console.is_interactive and now >= self.logged + LOG_SECONDS):
            self.logged = now
            log.info(_line(event))


class FilesProgress(_Display):
    """Display of the progress of `unrolled.decode_files(report=…)`: files, rows a second, remaining time."""

    def __init__(self) -> None:
        super().__init__("files", 1.0, counts=False)

    def __call__(self, progress: FilesDone) -> None:
        """Show the progress."""
        files, speed = f"{progress.shards:,}/{progress.of:,} files", f"{progress.rows_per_second:,.0f} rows/s"
        if console.is_interactive:
            self.bar.start()
            self.bar.update(self.task, description=files, completed=progress.fraction, speed=speed)
        elif (now := time.monotonic()) >= self.logged + LOG_SECONDS:
            self.logged = now
            left = "" if progress.remaining is None else f"  {progress.remaining:,.0f} s remaining"
            log.info("%s", f"{files}  {progress.rows:,} rows  {progress.fraction:.0%}  {speed}{left}")


def _line(event: Event) -> str:
    """Return an event as a line of the log."""
    parts = [f"update {event.update}/{event.updates}", f"epoch {event.epoch:.1f}", f"loss {event.loss_nats:.3f}"]
    if event.valid is not None:
        figures = event.valid.to_dict()
        parts.append(f"valid loss {figures.pop('loss_nats'):.3f}")
        parts += [SHOWN[name](value) for name, value in figures.items() if name in SHOWN]
        parts += ["kept"] * event.best
    return "  ".join([*parts, f"{event.tokens_per_second:,.0f} tokens/s"])
