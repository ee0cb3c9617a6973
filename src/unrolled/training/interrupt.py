"""Handling of Ctrl-C, SIGTERM and SIGHUP: the first one stops a training between two updates, a second one at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["interruptible"]

_ACTIVE: list[list[int]] = []
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interruptible() -> Iterator[Callable[[], int | None]]:
    """Yield a function that returns the number of the signal that has arrived, or None.

    A block within another one tells both: a signal at the end of a training, which has nothing left to stop, ends the
    comparison that it is a part of.

    Signals reach Python's main thread only: in another one no handler is installed and the result is always None. A
    signal that is ignored (as in a job that a shell runs in the background) stays ignored.
    """
    arrived: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return

    def handler(number: int, frame: FrameType | None) -> None:
        if arrived:
            raise KeyboardInterrupt(number)
        for each in _ACTIVE:
            each.append(number)

    handled = [number for number in SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    before = {number: signal.signal(number, handler) for number in handled}
    _ACTIVE.append(arrived)
    try:
        yield lambda: arrived[0] if arrived else None
    finally:
        _ACTIVE.pop()
        for number, old in before.items():
            signal.signal(number, old)
