"""The log of a training, where standard error is no terminal."""

import logging

import pytest

from unrolled.cli.progress import LOG_SECONDS, Progress
from unrolled.training import Event, Score


def event(update: int, valid: Score | None = None, *, best: bool = False) -> Event:
    return Event(update, 100, update / 10, 0.5, 1e-3, 1.0, 12_345.6, valid, best)


def test_an_evaluation_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with Progress() as progress:
        progress(event(7))
        progress(event(10, Score(0.61, 0.75, 0.5), best=True))
        progress(event(20, Score(0.61)))
    assert caplog.messages == [
        "update 10/100  epoch 1.0  loss 0.500  valid loss 0.610  accuracy 75.0%  kept  12,346 tokens/s",
        "update 20/100  epoch 2.0  loss 0.500  valid loss 0.610  12,346 tokens/s",
    ]


def test_a_log_has_a_line_a_minute(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event every seven seconds, for ten minutes."""
    now = [0.0]
    monkeypatch.setattr("unrolled.cli.progress.time.monotonic", lambda: now[0])
    caplog.set_level(logging.INFO)
    with Progress() as progress:
        for update in range(86):
            now[0] = 7.0 * update
            progress(event(update))
    assert len(caplog.messages) == 600 // (LOG_SECONDS + 3), "the first event after each minute"
    assert caplog.messages[0].startswith("update 9/100  epoch 0.9  loss 0.500  12,346 tokens/s")
