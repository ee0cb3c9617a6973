"""Signals: the first is told of, the second stops at once, and all is as it was afterwards."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from unrolled.training.interrupt import interruptible


@pytest.fixture(autouse=True)
def signals_that_are_heard() -> Iterator[None]:
    """Also where the tests run in the background of a shell, which lets Ctrl-C be ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_is_told_of_and_the_second_stops_at_once(number: int) -> None:
    before = signal.getsignal(number)
    with interruptible() as interrupted:
        assert interrupted() is None
        os.kill(os.getpid(), number)
        assert interrupted() == number
        with pytest.raises(KeyboardInterrupt) as stopped:
            os.kill(os.getpid(), number)
        assert stopped.value.args == (number,)
    assert signal.getsignal(number) is before


def test_a_signal_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible() as interrupted:
            os.kill(os.getpid(), signal.SIGINT)
            assert interrupted() is None
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_it_changes_nothing() -> None:
    found = []

    def inside() -> None:
        with interruptible() as interrupted:
            found.append((interrupted(), signal.getsignal(signal.SIGTERM)))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert found == [(None, before)]
