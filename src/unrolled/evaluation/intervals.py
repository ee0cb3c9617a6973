"""Confidence intervals of 95 % for metrics, over the examples that they were measured on.

An interval covers the variation of the metric with *other test examples* of the same kind. It does not cover the
variation with the seed of a training; that can only be measured by training several times.

Percentile bootstrap (Efron 1979): draw N of the N examples with replacement, compute the metric, repeat this 2,000
times, and take the 2.5 % and 97.5 % quantiles. Most metrics depend on the examples only through counts (of right and
wrong answers; the confusion matrix). N independent draws with replacement hit category m with probability counts[m] / N
each, so the counts of a resample are Multinomial(N, counts / N). Drawing those counts at once *is* resampling the
examples, at a cost that does not grow with N.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unrolled.errors import DataError, ShapeError

__all__ = ["LEVEL", "RESAMPLES", "Interval", "bootstrap", "draws", "of_fraction", "resample", "spread", "wilson"]

LEVEL = 0.95
RESAMPLES = 2_000
CHUNK_VALUES = 2**20  # maximum number of counts in memory while resampling: 8 MiB

Counts = NDArray[np.integer[Any]]


class Interval(NamedTuple):
    """Interval from `low` to `high`, both included, in the unit of the metric."""

    low: float
    high: float


def bootstrap(
    counts: ArrayLike,
    statistic: Callable[[Counts], NDArray[np.floating[Any]]],
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> Interval:
    """Return the percentile bootstrap interval of a metric that depends on the examples through `counts` alone.

    The same arguments give the same interval. Where all examples are in one category the interval is a point, since a
    bootstrap never draws from an empty category (`wilson` gives a width there).

    Args:
        counts: (M,) integers; the number of examples in each of M categories.
        statistic: (R, M) counts of R resamples -> (R,) values of the metric.
        resamples: number of resamples R.
        level: fraction of the resampled values that the interval covers.
        seed: seed of the draws.

    Raises:
        ShapeError: `counts` is not (M,) integers.
        DataError: `counts` has a negative number, or no example.
    """
    counts = np.asarray(counts)
    if counts.ndim != 1 or (counts.size and counts.dtype.kind not in "iu"):
        raise ShapeError(f"counts must be integers of shape (M,): got {counts.dtype} of shape {counts.shape}")
    total = int(counts.sum())
    if total == 0 or counts.min() < 0:
        raise DataError(
            "an interval needs examples: the counts are negative or sum to 0", fix="pass counts of at least one example"
        )
    generator = np.random.default_rng(seed)
    chunk = max(1, CHUNK_VALUES // len(counts))
    figures = [
        statistic(generator.multinomial(total, counts / total, size=min(chunk, resamples - start)))
        for start in range(0, resamples, chunk)
    ]
    return spread(np.concatenate(figures), level=level)


def resample(values: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0) -> NDArray[np.float64]:
    """Draw N of N examples with replacement, R times, and return the sums of their values in each draw, (R, M).

    For metrics that depend on the examples through sums.

    Args:
        values: (N, M), M numbers for each example.

    Raises:
        ShapeError: `values` is not (N, M).
        DataError: there is no example.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2:
        raise ShapeError(f"values must be numbers of shape (N, M): got shape {values.shape}")
    N = len(values)
    if N == 0:
        raise DataError("an interval needs examples: there is none", fix="pass values of at least one example")
    return np.stack([drawn @ values for drawn in draws(N, resamples=resamples, seed=seed)])


def draws(N: int, *, resamples: int = RESAMPLES, seed: int = 0) -> Iterator[NDArray[np.int64]]:
    """Yield the number of times that each of N examples is drawn, (N,), for R draws of N with replacement."""
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.bincount(generator.integers(N, size=N), minlength=N)


def spread(figures: NDArray[np.floating[Any]], *, level: float = LEVEL) -> Interval:
    """Return the interval that covers the fraction `level` of resampled values (R,)."""
    low, high = np.quantile(figures, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def of_fraction(right: int, N: int) -> Interval:
    """Return the bootstrap interval of the fraction `right` of N, or Wilson's where all or none are right.

    There a bootstrap has no width, as if no other example could be answered otherwise.
    """
    if right in (0, N):
        return wilson(right, N)
    return bootstrap([right, N - right], lambda counts: counts[:, 0] / N)


def wilson(right: int, n: int, *, level: float = LEVEL) -> Interval:
    """Return the closed-form interval of a fraction, `right` of `n` (Wilson 1927), for few examples.

    It contains the fractions p within z standard deviations √(p (1 − p) / n) of right / n, so that it has a width even
    where none or all are right:

        (p̂ + z²/2n ± z √(p̂ (1 − p̂) / n + z²/4n²)) / (1 + z²/n),   p̂ = right / n

    Raises:
        DataError: not 0 ≤ right ≤ n with n ≥ 1.
    """
    if not 0 <= right <= n or n == 0:
        raise DataError(f"a fraction needs 0 ≤ right ≤ n and n ≥ 1: got right = {right} and n = {n}")
    z = NormalDist().inv_cdf((1 + level) / 2)
    fraction, shrink = right / n, 1 + z * z / n
    middle = (fraction + z * z / (2 * n)) / shrink
    half = z * math.sqrt(fraction * (1 - fraction) / n + z * z / (4 * n * n)) / shrink
    return Interval(max(0.0, middle - half), min(1.0, middle + half))
