from __future__ import annotations

import math

import numpy as np
import pytest

from unrolled.errors import DataError, ShapeError
from unrolled.evaluation import intervals
from unrolled.evaluation.classes import macro_f1
from unrolled.evaluation.intervals import RESAMPLES, bootstrap, of_fraction, resample, spread, wilson


def fraction(counts):
    return counts[:, 0] / counts.sum(axis=1)


def binomial(n, p):
    """P(k of n), k = 0 … n."""
    log = [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(n + 1)]
    return np.exp([log[k] + k * math.log(p) + (n - k) * math.log1p(-p) for k in range(n + 1)])


@pytest.mark.parametrize("n", [100, 1_000, 100_000])
@pytest.mark.parametrize("p", [0.5, 0.8, 0.95])
def test_bootstrap_of_a_fraction_matches_the_closed_form(n, p):
    right = round(n * p)
    low, high = bootstrap([right, n - right], fraction)
    middle, sd = right / n, math.sqrt(p * (1 - p) / n)
    # The 2.5 % quantile of 2,000 draws has a standard error of √(.025 · .975 / 2,000) / φ(1.96) = 0.06 sd; four of
    # them, and the binomial against its normal limit: half a step of 1/n, and (z² − 1)(1 − 2p) / 6n for its skew.
    limit = 4 * 0.06 * sd + 0.5 / n + (1.96**2 - 1) * abs(1 - 2 * p) / (6 * n)
    assert abs(low - (middle - 1.96 * sd)) < limit
    assert abs(high - (middle + 1.96 * sd)) < limit


@pytest.mark.parametrize(
    ("interval", "slack"),
    # A fraction of n = 400 moves in steps: an end of the interval that lies one k further covers P(k) more or less, at
    # 1.96 sd about 0.058 / sd with sd = √(400 · 0.8 · 0.2) = 8: 0.7 % at either end. Wilson: one step at either end;
    # bootstrap: two, since its ends are drawn besides.
    [(lambda k, n: bootstrap([k, n - k], fraction), 0.029), (lambda k, n: wilson(k, n), 0.015)],
    ids=["bootstrap", "wilson"],
)
def test_intervals_cover_the_truth_95_times_in_100(interval, slack):
    n, p = 400, 0.8
    weights = binomial(
        n, p
    )  # every outcome of n Bernoulli trials, with its probability: no noise but the bootstrap's own
    likely = np.flatnonzero(weights > 1e-9)
    covered = sum(weights[k] for k in likely if interval(int(k), n).low <= p <= interval(int(k), n).high)
    assert abs(covered - 0.95) < slack


def test_macro_f1_interval_covers_the_truth_95_times_in_100():
    truth, answer = (axis.ravel() for axis in np.indices((3, 3)))
    cells = np.array([0.35, 0.05, 0.05, 0.05, 0.2, 0.05, 0.02, 0.03, 0.2])  # the population's confusion matrix
    population = macro_f1(np.round(cells * 100).astype(int)[np.newaxis], truth, answer)[0]
    trials = 300
    covered = 0
    for counts in np.random.default_rng(1).multinomial(500, cells, size=trials):
        low, high = bootstrap(counts, lambda drawn: macro_f1(drawn, truth, answer), resamples=500)
        covered += low <= population <= high
    # Four standard errors of a fraction of 300 trials, 4 · √(.95 · .05 / 300) = 5 %; the bias of percentile intervals
    # at N = 500 and that of 500 resamples are each under 1 %.
    assert abs(covered / trials - 0.95) < 0.07


def test_drawing_counts_is_resampling_examples():
    truth = np.repeat([0, 0, 0, 1, 1, 2, 2], [30, 5, 3, 12, 4, 6, 2])
    answer = np.repeat([0, 1, 2, 1, 0, 2, 0], [30, 5, 3, 12, 4, 6, 2])
    cells, counts = np.unique(np.stack([truth, answer]), axis=1, return_counts=True)
    drawn = []

    def keep(resampled):
        drawn.extend(macro_f1(resampled, *cells))
        return fraction(resampled)

    bootstrap(counts, keep)
    generator = np.random.default_rng(0)
    direct = []
    for _ in range(RESAMPLES):
        chosen = generator.integers(len(truth), size=len(truth))
        found = np.array([((truth == i) & (answer == j))[chosen].sum() for i, j in cells.T])
        direct.append(macro_f1(found[np.newaxis], *cells)[0])
    # Kolmogorov and Smirnov: two samples of 2,000 from one distribution differ by more than 1.95 √(2 / 2,000) once in
    # 1,000 times.
    at = np.sort(np.concatenate([drawn, direct]))
    below = [np.searchsorted(np.sort(sample), at, side="right") / RESAMPLES for sample in (drawn, direct)]
    assert np.abs(below[0] - below[1]).max() < 1.95 * math.sqrt(2 / RESAMPLES)


def test_the_seed_decides_and_chunks_do_not(monkeypatch):
    counts = [80, 15, 5]
    assert bootstrap(counts, fraction) == bootstrap(np.array(counts), fraction, seed=0)
    assert bootstrap(counts, fraction) != bootstrap(counts, fraction, seed=1)
    seen = []

    def spy(resampled):
        seen.append(resampled.size)
        return fraction(resampled)

    whole = bootstrap(counts, fraction)
    monkeypatch.setattr(intervals, "CHUNK_VALUES", 30)
    assert bootstrap(counts, spy) == whole
    assert max(seen) == 30
    assert sum(seen) == 3 * RESAMPLES


def test_level_and_resamples_matter():
    counts = [80, 20]
    wide, narrow = bootstrap(counts, fraction, level=0.99), bootstrap(counts, fraction, level=0.5)
    assert wide.low < narrow.low < 0.8 < narrow.high < wide.high
    assert wilson(80, 100, level=0.99).low < wilson(80, 100, level=0.5).low
    assert bootstrap(counts, fraction, resamples=1).low == bootstrap(counts, fraction, resamples=1).high


def test_all_right_is_a_point_for_the_bootstrap_and_not_for_wilson():
    assert bootstrap([10, 0], fraction) == (1.0, 1.0)
    low, high = wilson(10, 10)
    z2 = 1.959963984540054**2
    assert high == 1.0
    assert low == pytest.approx(10 / (10 + z2), rel=1e-12)  # its formula at p̂ = 1
    assert wilson(0, 10) == pytest.approx((0.0, 1 - low), abs=1e-12)


def test_wilson_ends_are_z_deviations_from_the_fraction():
    for end in wilson(37, 120):
        assert abs(37 / 120 - end) == pytest.approx(1.959963984540054 * math.sqrt(end * (1 - end) / 120), rel=1e-9)


@pytest.mark.parametrize("counts", [[[1, 2]], [0.5, 0.5], 3])
def test_counts_of_the_wrong_shape_or_dtype(counts):
    with pytest.raises(ShapeError, match=r"^counts must be integers of shape \(M,\): got "):
        bootstrap(counts, fraction)


@pytest.mark.parametrize("counts", [[], [0, 0], [3, -1]])
def test_counts_without_examples(counts):
    with pytest.raises(DataError, match="an interval needs examples"):
        bootstrap(counts, fraction)


@pytest.mark.parametrize(("right", "n"), [(0, 0), (3, 2), (-1, 5)])
def test_wilson_of_invalid_counts(right, n):
    with pytest.raises(DataError, match=f"got right = {right} and n = {n}"):
        wilson(right, n)


def test_resampled_sums_vary_as_sums_of_draws_do():
    values = np.column_stack([np.ones(500), np.arange(500), np.arange(500) % 7])
    sums = resample(values)
    assert sums.shape == (RESAMPLES, 3)
    assert set(sums[:, 0]) == {500}, "N of N"
    # a sum of N draws has mean Σ and standard deviation √N · σ; 2,000 of them tell the mean to within 4 / √2000 of it
    # and the deviation to within 4 / √4000
    for column in (1, 2):
        mean, deviation = values[:, column].sum(), np.sqrt(500) * values[:, column].std()
        assert abs(sums[:, column].mean() - mean) < 4 * deviation / np.sqrt(2000)
        assert sums[:, column].std() == pytest.approx(deviation, rel=4 / np.sqrt(4000))
    both = np.corrcoef(sums[:, 1:].T)[0, 1]
    assert both == pytest.approx(np.corrcoef(values[:, 1:].T)[0, 1], abs=0.1), "the columns of an example stay together"
    assert np.array_equal(sums, resample(values)), "the same arguments give the same sums"
    assert not np.array_equal(sums, resample(values, seed=1))


def test_a_spread_leaves_as_much_out_on_either_side():
    assert spread(np.arange(1001) / 1000) == pytest.approx((0.025, 0.975))
    assert spread(np.arange(1001) / 1000, level=0.5) == pytest.approx((0.25, 0.75))


def test_resampling_nothing_is_refused():
    with pytest.raises(DataError, match="there is none"):
        resample(np.empty((0, 3)))
    with pytest.raises(ShapeError, match=r"\(N, M\): got shape \(3,\)"):
        resample([1, 2, 3])


def test_a_fraction_of_all_or_none_has_a_width() -> None:
    assert of_fraction(12, 12) == wilson(12, 12)
    assert of_fraction(0, 12) == wilson(0, 12)
    assert of_fraction(9, 12) == bootstrap([9, 3], lambda counts: counts[:, 0] / 12)
