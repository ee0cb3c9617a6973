"""A time limit becomes a number of updates, and leaves no trace."""

import math

import pytest
import torch

from small import SMALL, pairs
from unrolled import api
from unrolled.errors import ConfigError
from unrolled.training import limit
from unrolled.training.loop import Trainer


class Clock:
    """Stands still but for an update and an evaluation."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, update: float, evaluation: float) -> None:
        self.now = 100.0
        for name, cost in (("update", update), ("evaluate", evaluation)):
            monkeypatch.setattr(Trainer, name, self.costing(getattr(Trainer, name), cost))
        monkeypatch.setattr("time.perf_counter", lambda: self.now)

    def costing(self, as_ever, cost: float):
        def timed(trainer: Trainer) -> object:
            self.now += cost
            if cost > 1:
                trainer.progress.seconds["evaluation"] += cost
            return as_ever(trainer)

        return timed


@pytest.mark.parametrize("update", [0.5, 0.125])  # seconds: the measuring of long and of short updates
def test_it_is_the_number_of_updates_that_fit_with_their_evaluations(
    monkeypatch: pytest.MonkeyPatch, update: float
) -> None:
    Clock(monkeypatch, update=update, evaluation=2.0)
    run = api.train(pairs(), **SMALL | {"time_limit": "2m", "evaluate_every": 10, "patience": 0})
    share = math.ceil(limit.MIN_FRACTION * 120 / update)
    measured = (max(limit.WARM, share) + max(limit.MEASURED, share)) * update + 2.0
    left = 120 - measured - 2.0
    wanted = int(left / (update + 2.0 / 10))
    assert run.record["training"]["updates"] == run.record["training"]["planned"] == wanted
    took = run.record["training"]["total_seconds"] + measured
    assert 0.95 * 120 <= took <= 120


def test_measuring_takes_no_more_than_a_share_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, update=2.0, evaluation=2.5)
    began = clock.now
    api.train(pairs(), **SMALL | {"time_limit": "20s", "evaluate_every": 1_000, "patience": 0})
    assert 15 <= clock.now - began <= 20  # 23 updates would be 46


@pytest.mark.parametrize("settings", [{}, {"average": 0.9}, {"model": "feedforward", "dropout": 0.5}])
def test_it_has_the_bits_of_a_training_with_that_number_of_updates(
    settings: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "_longest", lambda _: math.inf)  # a busy machine would end it past the limit
    limited = api.train(pairs(), **SMALL | {"time_limit": "0.3s", "evaluate_every": 5} | settings)
    updates = limited.record["training"]["planned"]
    asked = api.train(pairs(), **SMALL | {"updates": updates, "evaluate_every": 5} | settings)
    for name, value in asked.model.state_dict().items():
        assert torch.equal(limited.model.state_dict()[name], value), name
    assert [event["loss_nats"] for event in limited.metrics] == [event["loss_nats"] for event in asked.metrics]


def test_one_update_fits_always() -> None:
    assert api.train(pairs(), **SMALL | {"time_limit": "0.000001s"}).record["training"]["updates"] == 1


@pytest.mark.parametrize("text", ["10", "m", "-1m", "0s", "1d", "1 m", "10m\n"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="time_limit should be a time above 0, as 90s, 10m or 1.5h: got "):
        api.train(pairs(), time_limit=text)
