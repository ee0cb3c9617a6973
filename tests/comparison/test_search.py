"""The search: the same points for all models, the edge of what was tried, and its extension."""

from __future__ import annotations

import math

import numpy as np
import pytest

from unrolled.comparison.search import DROPOUTS, RATES, Range, edge, further, points


def test_points_are_a_function_of_the_seed_and_begin_alike() -> None:
    assert points(8, 0) == points(8, 0) != points(8, 1)
    assert points(6, 0) == points(8, 0)[:6]
    assert points(0, 0) == []


@pytest.mark.parametrize("seed", range(5))
def test_points_cover_the_range_evenly(seed: int) -> None:
    drawn = points(8, seed)
    low, high = map(math.log, RATES)
    eighths = [(math.log(each.learning_rate) - low) / (high - low) * 8 for each in drawn]
    assert sorted(math.floor(u - 1e-3 * (u > 7.99)) for u in eighths) == list(range(8))  # one in each eighth
    assert all(RATES[0] * 0.995 <= each.learning_rate <= RATES[1] * 1.005 for each in drawn)
    assert all(DROPOUTS[0] <= each.dropout <= DROPOUTS[1] for each in drawn)


def test_the_edge_is_the_side_of_the_best_rate() -> None:
    rates = [1e-3, 4e-3, 2e-3]
    assert edge(rates, [0.9, 0.5, 0.6]) == "low"
    assert edge(rates, [0.5, 0.9, 0.6]) == "high"
    assert edge(rates, [0.5, 0.6, 0.9]) is None
    assert edge(rates[:2], [0.5, 0.9]) is None  # of two rates both are outermost


def test_a_range_is_extended_on_one_side_and_further_trials_lie_beyond() -> None:
    start = Range(1e-3, 1e-2)
    assert start.beyond("high") == Range(1e-2, 4e-2)
    assert start.extended("low") == Range(2.5e-4, 1e-2)
    assert start.beyond(None) == start.extended(None) == start
    beyond = points(further(8), 1, start.beyond("high"))
    assert len(beyond) == 2
    assert all(1e-2 * 0.995 <= each.learning_rate <= 4e-2 * 1.005 for each in beyond)
    assert [further(n) for n in (1, 4, 5, 8)] == [1, 1, 2, 2]


def test_rates_are_spread_over_their_logarithm() -> None:
    rates = np.log([each.learning_rate for each in points(256, 3)])
    assert np.median(rates) == pytest.approx(np.mean(np.log(RATES)), abs=0.02)
