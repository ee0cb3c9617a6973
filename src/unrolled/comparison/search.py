"""The search over learning rate and dropout: the same points for every model.

The points are those of a scrambled Sobol sequence over the logarithm of the rate and the dropout: they cover the space
evenly with few trials, and are a function of the seed alone, whatever was found before. So a model's trials do not
depend on their order, on an interruption, or on the process that trains them; and their mean best after k trials is
defined, because they are exchangeable (Bergstra & Bengio 2012; Dodge et al. 2019). A search by a model of the results
(TPE, Gaussian processes) has none of these, and gains nothing with so few trials.

Where the best rate of a model is the smallest or the largest that it has tried, its range is extended by EXTEND on
that side. Then every model gets the same number of further trials, in its own range.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from unrolled.errors import ConfigError

__all__ = ["DROPOUTS", "RATES", "Point", "Range", "edge", "further", "points", "require"]

RATES, DROPOUTS = (3e-4, 1e-2), (0.0, 0.5)
EXTEND = 4.0
ROUNDS = 2
"""The greatest number of times that further trials are added."""
Edge = Literal["low", "high"]


class Point(NamedTuple):
    """A trial of the search."""

    learning_rate: float
    dropout: float


class Range(NamedTuple):
    """Bounds of the learning rate."""

    low: float = RATES[0]
    high: float = RATES[1]

    def beyond(self, side: Edge | None) -> Range:
        """Return the stretch beyond an edge; this range itself for None."""
        if side is None:
            return self
        return Range(self.low / EXTEND, self.low) if side == "low" else Range(self.high, self.high * EXTEND)

    def extended(self, side: Edge | None) -> Range:
        """Return this range and the stretch beyond an edge."""
        other = self.beyond(side)
        return Range(min(self.low, other.low), max(self.high, other.high))


def require() -> None:
    """Refuse to begin without the packages of the extra `compare`.

    Raises:
        ConfigError: names the extra.
    """
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise ConfigError("a comparison needs Optuna: install unrolled[compare]") from None


def points(count: int, seed: int, rates: Range = Range()) -> list[Point]:  # noqa: B008  (it is immutable)
    """Return the first points of the sequence of a seed."""
    from scipy.stats import qmc

    if not count:
        return []
    drawn = qmc.Sobol(2, rng=seed).random(2 ** math.ceil(math.log2(count)))[:count]
    low, high = math.log(rates.low), math.log(rates.high)
    return [
        Point(_rounded(math.exp(low + (high - low) * u)), round(DROPOUTS[0] + (DROPOUTS[1] - DROPOUTS[0]) * v, 2))
        for u, v in drawn.tolist()
    ]


def _rounded(rate: float) -> float:
    """Return a rate with three significant digits, which a command can repeat."""
    return float(f"{rate:.3g}")


def edge(rates: Sequence[float], figures: Sequence[float]) -> Edge | None:
    """Return the side on which the best rate is the outermost of those that were tried; None: it is inside.

    Args:
        rates: rates of the trials that have a figure; with fewer than three nothing is inside, and the result is None.
        figures: their figures; the greater is better.
    """
    if len(rates) < 3:
        return None
    best = rates[max(range(len(rates)), key=lambda k: figures[k])]
    return "low" if best == min(rates) else "high" if best == max(rates) else None


def further(trials: int) -> int:
    """Return the number of further trials of each model in a round: a quarter of the first ones."""
    return math.ceil(trials / 4)
