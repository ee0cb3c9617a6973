"""Difference between two models, with an interval over seeds *and* examples, from paired scores.

Two models are trained with S seeds each, in pairs: a seed means the same data order for both. Both answer the same N
test examples. With d_si the difference of their scores on example i with seed s, the crossed random effects

    d_si = δ + a_s + b_i + e_si        a: seeds, b: examples, e: the rest

have the mean squares

    M_a = N Σ_s (d_s· − d··)² / (S − 1)        M_b = S Σ_i (d_·i − d··)² / (N − 1)
    M_e = Σ_si (d_si − d_s· − d_·i + d··)² / ((S − 1)(N − 1))

and the interval is d·· ± h with

    h² = max(t²_{S−1} M_a + t²_{N−1} max(M_b − M_e, 0), t²_k M_e) / (S N),    k = (S − 1)(N − 1)

where t_k is the quantile of Student's distribution with k degrees of freedom. Each component of the variance has the
quantile of its own degrees of freedom (Graybill & Wang, "Confidence intervals on nonnegative linear combinations of
variances", JASA 1980), so that few seeds count as few where seeds matter, and do no harm where they do not. The second
term is the width without any variation of seeds and examples: two seeds that happen to have equally many right answers
are no proof. A bootstrap over 3 seeds, or a t-test over the seeds alone or the examples alone, does not hold its level
(decision 0030).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unrolled.errors import DataError, ShapeError
from unrolled.evaluation.intervals import LEVEL, Interval

__all__ = ["Difference", "MeanSquares", "holm", "mean_squares", "paired_difference", "power"]

STEPS = 60  # bisections of a p value: to 2⁻⁶⁰
NODES = 400  # of each quadrature of the power


class MeanSquares(NamedTuple):
    """Mean squares of the seeds, the examples and the rest, for S seeds and N examples."""

    seeds: float
    examples: float
    rest: float
    S: int
    N: int

    def half_width(self, alpha: float = 1 - LEVEL) -> float:
        """Return half the width h of the interval that misses the true difference with probability alpha."""
        from scipy.stats import t

        freedom = (self.S - 1, self.N - 1, (self.S - 1) * (self.N - 1))
        of_seeds, of_examples, of_rest = (float(each) ** 2 for each in t.isf(alpha / 2, freedom))
        squared = of_seeds * self.seeds + of_examples * max(self.examples - self.rest, 0.0)
        return math.sqrt(max(squared, of_rest * self.rest) / (self.S * self.N))


@dataclass(frozen=True)
class Difference:
    """Mean difference of two models, first minus second, in the unit of the scores.

    Args:
        mean: the mean over seeds and examples.
        interval: interval of 95 % for other seeds and other examples.
        p: the smallest level of significance at which the difference is shown; 1 for equal means.
        seeds, examples: numbers S and N.
    """

    mean: float
    interval: Interval
    p: float
    seeds: int
    examples: int

    @property
    def shown(self) -> bool:
        """True if the interval excludes 0."""
        return not self.interval.low <= 0 <= self.interval.high


def mean_squares(differences: NDArray[np.float64]) -> MeanSquares:
    """Return the mean squares of differences (S, N)."""
    S, N = differences.shape
    mean = differences.mean()
    by_seed, by_example = differences.mean(axis=1), differences.mean(axis=0)
    rest = differences - by_seed[:, None] - by_example + mean
    return MeanSquares(
        seeds=float(N * np.square(by_seed - mean).sum() / (S - 1)),
        examples=float(S * np.square(by_example - mean).sum() / (N - 1)),
        rest=float(np.square(rest).sum() / ((S - 1) * (N - 1))),
        S=S,
        N=N,
    )


def paired_difference(first: ArrayLike, second: ArrayLike) -> Difference:
    """Return the difference of two models from their scores on the same examples with the same seeds.

    Args:
        first, second: scores (S, N) of each model, such as 1 for a right answer and 0 for a wrong one, or nats.

    Raises:
        ShapeError: the shapes differ or are not (S, N).
        DataError: there are fewer than two seeds or two examples, or a score is not finite.
    """
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.shape != other.shape or one.ndim != 2:
        raise ShapeError(f"scores must have the same shape (seeds, examples): got {one.shape} and {other.shape}")
    S, N = one.shape
    if S < 2 or N < 2:
        raise DataError(f"an interval needs at least two seeds and two examples: got {S} and {N}")
    differences = one - other
    if not np.isfinite(differences).all():
        raise DataError("scores must be finite")
    squares, mean = mean_squares(differences), float(differences.mean())
    h = squares.half_width()
    return Difference(mean, Interval(mean - h, mean + h), _p_value(abs(mean), squares), S, N)


def _p_value(mean: float, squares: MeanSquares) -> float:
    """Return the smallest level of significance whose interval excludes 0, by bisection."""
    if mean == 0:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if squares.half_width(middle) < mean else (middle, high)
    return high


def holm(p: Sequence[float]) -> list[float]:
    """Return the p values of several comparisons, adjusted so that any false one among them has their level.

    Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    adjusted, greatest = [0.0] * len(p), 0.0
    for rank, k in enumerate(sorted(range(len(p)), key=lambda k: p[k])):
        greatest = max(greatest, min(1.0, (len(p) - rank) * p[k]))
        adjusted[k] = greatest
    return adjusted


def power(delta: float, variances: tuple[float, float, float], S: int, N: int, *, alpha: float = 1 - LEVEL) -> float:
    """Return the probability that a true difference is shown, where a, b and e are normal.

    Args:
        delta: the true difference δ.
        variances: of seeds, examples and the rest: σ_a², σ_b², σ_e².
        S, N: numbers of seeds and examples.
        alpha: level of significance.
    """
    from scipy.stats import chi2, norm, t

    a, b, e = variances
    expected = (N * a + e, S * b + e, e)  # of M_a, M_b, M_e; each is its mean times χ²_k / k
    freedom = (S - 1, N - 1, (S - 1) * (N - 1))
    quantiles = (np.arange(NODES) + 0.5) / NODES
    of_seeds, of_examples, rest = (mean * chi2.ppf(quantiles, k) / k for mean, k in zip(expected, freedom, strict=True))
    squares = t.isf(alpha / 2, (S - 1, N - 1)) ** 2
    # M_e has so many degrees of freedom that its mean stands for it.
    between = np.maximum(of_examples - rest.mean(), 0)
    h = np.sqrt((squares[0] * of_seeds[:, None] + squares[1] * between) / (S * N))
    spread = ((expected[0] + expected[1] - e) / (S * N)) ** 0.5
    return float((norm.sf((h - delta) / spread) + norm.cdf((-h - delta) / spread)).mean())
