"""Progress on standard error: a bar where a person watches, plain lines where a file or a pipe does."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

if TYPE_CHECKING:
    from unrolled.training import Event

__all__ = ["Progress", "show_log"]

console = Console(stderr=True, highlight=False)


@contextmanager
def show_log(quiet: bool) -> Iterator[None]:
    """Print what the library logs, as plain lines, unless `quiet`."""
    log = logging.getLogger("unrolled")
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if console.is_terminal:
        handler = RichHandler(console=console, show_time=False, show_level=False, show_path=False, highlighter=None)
    if not quiet:
        log.addHandler(handler)
        log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)


class Progress:
    """What `unrolled.train(report=…)` is given: shows the updates, and a line for every evaluation."""

    def __init__(self, quiet: bool = False, title: str = "training") -> None:
        self.quiet, self.title = quiet, title
        self.bar: Bar | None = None
        self.task = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if self.quiet:
            return
        if console.is_terminal:
            if self.bar is None:
                self.bar = Bar(
                    TextColumn("{task.description}"),
                    BarColumn(),
                    MofNCompleteColumn(),
                    TextColumn("{task.fields[speed]}"),
                    TimeRemainingColumn(),
                    console=console,
                    transient=True,
                )
                self.bar.start()
                self.bar.add_task(self.title, total=event.updates, speed="")
            task = self.bar.task_ids[0]
            self.bar.update(task, completed=event.update, speed=f"{event.tokens_per_second:,.0f} tokens/s")
        if event.valid is not None:
            console.print(
                f"update {event.update}/{event.updates}  epoch {event.epoch:.1f}  loss {event.loss_nats:.3f}  "
                f"valid loss {event.valid.loss_nats:.3f}  accuracy {event.valid.accuracy:.1%}"
                f"{'  best' if event.best else ''}  {event.tokens_per_second:,.0f} tokens/s",
                soft_wrap=True,
            )
