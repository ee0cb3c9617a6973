"""The difference of two models over seeds and examples: its formulas, its level, its power, and Holm's procedure."""

import numpy as np
import pytest
from scipy import stats

from unrolled.errors import DataError, ShapeError
from unrolled.evaluation.difference import holm, mean_squares, paired_difference, power


def effects(S: int, N: int, variances: tuple[float, float, float], seed: int, delta: float = 0.0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    a, b, e = (np.sqrt(each) for each in variances)
    return (
        delta + a * draw.standard_normal((S, 1)) + b * draw.standard_normal((1, N)) + e * draw.standard_normal((S, N))
    )


def test_mean_squares_are_those_of_the_sums() -> None:
    """The sums of squares of a two-way layout add up to the whole; each is computed here from its definition."""
    d = effects(4, 7, (1.0, 2.0, 0.5), 0)
    found = mean_squares(d)
    whole = ((d - d.mean()) ** 2).sum()
    assert 3 * found.seeds + 6 * found.examples + 18 * found.rest == pytest.approx(whole, rel=1e-12)
    assert found.seeds == pytest.approx(7 * np.var(d.mean(axis=1), ddof=1), rel=1e-12)
    assert found.examples == pytest.approx(4 * np.var(d.mean(axis=0), ddof=1), rel=1e-12)


def test_with_seeds_alone_it_is_the_t_test_over_seeds() -> None:
    """Where all examples differ alike, M_b = M_e = 0 and the interval is the t interval of the seeds' means."""
    by_seed = np.array([0.3, -0.1, 0.4, 0.2])
    found = paired_difference(np.repeat(by_seed[:, None], 5, axis=1), np.zeros((4, 5)))
    expected = stats.ttest_1samp(by_seed, 0.0)
    low, high = expected.confidence_interval(0.95)
    assert found.interval == pytest.approx((low, high), rel=1e-9)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert not found.shown


def test_with_examples_alone_it_is_the_t_test_over_examples() -> None:
    by_example = np.array([0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0])
    found = paired_difference(np.tile(by_example, (3, 1)), np.zeros((3, 8)))
    expected = stats.ttest_1samp(by_example, 0.0)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.shown == (expected.pvalue < 0.05)
    assert found.mean == pytest.approx(5 / 8)


@pytest.mark.parametrize("S", [3, 5])
@pytest.mark.parametrize("variances", [(1.0, 0.0, 1.0), (0.01, 1.0, 1.0), (0.0, 1.0, 1.0), (0.002, 1.0, 0.2)])
def test_equal_models_are_seldom_called_different(S: int, variances: tuple[float, float, float]) -> None:
    """Of 600 pairs at most 7.7 % (5 % and three standard errors) are called different, whatever varies."""
    wrong = sum(paired_difference(effects(S, 100, variances, seed), np.zeros((S, 100))).shown for seed in range(600))
    assert wrong / 600 <= 0.05 + 3 * (0.05 * 0.95 / 600) ** 0.5


@pytest.mark.parametrize("variances", [(0.02, 1.0, 1.0), (0.2, 1.0, 0.5)])
def test_power_is_the_fraction_that_is_shown(variances: tuple[float, float, float]) -> None:
    S, N, tries = 5, 100, 800
    a, b, e = variances
    delta = 3 * ((N * a + S * b + e) / (S * N)) ** 0.5
    shown = sum(
        paired_difference(effects(S, N, variances, seed, delta), np.zeros((S, N))).shown for seed in range(tries)
    )
    expected = power(delta, variances, S, N)
    assert 0.2 < expected < 0.95
    assert shown / tries == pytest.approx(expected, abs=3 * (expected * (1 - expected) / tries) ** 0.5)


def test_the_models_change_places_with_the_sign() -> None:
    d = effects(3, 20, (0.1, 1.0, 1.0), 1, delta=0.5)
    one, other = paired_difference(d, np.zeros_like(d)), paired_difference(np.zeros_like(d), d)
    assert (one.mean, one.interval.low, one.p) == pytest.approx((-other.mean, -other.interval.high, other.p))


def test_equal_scores_are_no_difference() -> None:
    found = paired_difference(np.ones((3, 4)), np.ones((3, 4)))
    assert (found.mean, found.p, found.shown) == (0, 1, False)


def test_holm_by_hand() -> None:
    """Worked by hand: 4 · 0.005, 3 · 0.01, 2 · 0.03, 1 · 0.04 raised to the one before it."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize(
    ("first", "second", "error", "message"),
    [
        (np.ones((1, 5)), np.ones((1, 5)), DataError, "at least two seeds and two examples: got 1 and 5"),
        (np.ones((3, 5)), np.ones((3, 4)), ShapeError, "same shape"),
        (np.ones(5), np.ones(5), ShapeError, "same shape"),
        (np.full((2, 2), np.nan), np.ones((2, 2)), DataError, "finite"),
    ],
)
def test_scores_without_an_interval_are_refused(first, second, error, message) -> None:
    with pytest.raises(error, match=message):
        paired_difference(first, second)


def test_seeds_with_equally_many_right_answers_leave_a_width() -> None:
    """M_a is 0 by chance, and M_b below M_e: without a floor the interval would be a point."""
    first, second = np.array([[1.0, 0, 1, 0], [0, 1, 0, 1]]), np.zeros((2, 4))
    squares = mean_squares(first - second)
    assert squares.seeds == 0
    assert squares.examples < squares.rest
    found = paired_difference(first, second)
    expected = stats.t.ppf(0.975, 3) * (squares.rest / 8) ** 0.5
    assert found.interval == pytest.approx((found.mean - expected, found.mean + expected))
    assert not found.shown
