"""Ctrl-C and SIGTERM stop training between two updates, so that what is saved is whole; a second one stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["interruptible"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interruptible() -> Iterator[Callable[[], int | None]]:
    """Yield a function that returns the signal that has arrived, or None.

    Signals reach Python's main thread only: elsewhere nothing is installed and the answer is always None. One that is
    ignored (as in a job that a shell runs in the background) stays so.
    """
    arrived: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return

    def handler(number: int, frame: FrameType | None) -> None:
        if arrived:
            raise KeyboardInterrupt(number)
        arrived.append(number)

    heard = [number for number in SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    before = {number: signal.signal(number, handler) for number in heard}
    try:
        yield lambda: arrived[0] if arrived else None
    finally:
        for number, old in before.items():
            signal.signal(number, old)
