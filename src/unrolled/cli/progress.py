"""Progress on standard error: a bar on a terminal, plain lines in a file or a pipe.

Lines go through `logging`, which ignores a closed standard error, so that a training does not fail because of it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from unrolled.cli.console import Console

if TYPE_CHECKING:
    from unrolled.training import Event

__all__ = ["Progress", "show_log"]

log = logging.getLogger(__name__)
console = Console(stderr=True)


@contextmanager
def show_log(quiet: bool = False, *, name: str = "unrolled") -> Iterator[None]:
    """Show the messages of the logger `name` and its children; if `quiet`, warnings only."""
    logger = logging.getLogger(name)
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if console.is_interactive:
        handler = RichHandler(console=console, show_time=False, show_level=False, show_path=False, highlighter=None)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING if quiet else logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class Progress:
    """Display of a training's progress, for `unrolled.train(report=…)`: updates, and a line for every evaluation."""

    def __init__(self, title: str = "training") -> None:
        self.bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            redirect_stdout=False,  # rich would take escape sequences of other output for styles
            redirect_stderr=False,
        )
        self.task = self.bar.add_task(title, total=None, speed="")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if console.is_interactive:
            self.bar.stop()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if not log.isEnabledFor(logging.INFO):
            return
        if console.is_interactive:
            self.bar.start()
            speed = f"{event.tokens_per_second:,.0f} tokens/s"
            self.bar.update(self.task, total=event.updates, completed=event.update, speed=speed)
        if event.valid is not None:
            log.info(
                f"update {event.update}/{event.updates}  epoch {event.epoch:.1f}  loss {event.loss_nats:.3f}  "
                f"valid loss {event.valid.loss_nats:.3f}  {event.valid.figure()}"
                f"{'  best' if event.best else ''}  {event.tokens_per_second:,.0f} tokens/s"
            )
