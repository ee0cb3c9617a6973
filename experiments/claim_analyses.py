"""Analyses of the claims: from the scores of arms to the figure found and the verdict.

Each takes the arms in the order of the claim's file, scores (S, N) over S seeds and N test examples, and the numbers
of its table `limits`. Intervals are those of evaluation/difference.py, over seeds and examples (decision 0030); d is a
mean and [l, h] its interval of 95 %:

    better      d = A − Z, first arm less last      shown: l > margin               refuted: h ≤ margin
    contrast    d = (A − B) − (C − D)               shown: l > margin               refuted: h ≤ margin
    reaches     A (first) and Z (last), each alone  shown: l_A ≥ at_least and       refuted: h_A < at_least
                                                    h_Z ≤ at_most                   or l_Z > at_most
    crosses     curves A_1 … A_n, Z_1 … Z_n,        shown: Z_1 − A_1 has l > 0      refuted: h ≤ 0 at either end
                d_k = A_k − Z_k at `positions`      and d_n has l > 0
    costs       R = last / first of positions       shown: R ≤ at_most in the first arm, R ≥ at_least in the last,
                                                    in bytes and in milliseconds; else refuted

All else is *not shown*. A negative margin −m makes `better` the test of "at most m worse".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from unrolled.evaluation.difference import Difference, paired_difference

__all__ = ["ANALYSES", "BITS", "POINTS", "Analysis", "Finding", "Unit", "mean_of"]

T = TypeVar("T")
Scores = NDArray[np.float64]
Arms = Mapping[str, Any]
Limits = Mapping[str, Any]
SHOWN, REFUTED, NOT_SHOWN = "shown", "refuted", "not shown"


@dataclass(frozen=True)
class Finding:
    """The result of an analysis.

    Args:
        figure: the figure found, in words.
        verdict: shown, refuted or not shown.
        numbers: the numbers behind it.
    """

    figure: str
    verdict: str
    numbers: dict[str, Any]


@dataclass(frozen=True)
class Unit:
    """The unit of a figure: a name, a factor from scores to it, the decimals shown, and the greatest possible mean."""

    name: str
    factor: float
    decimals: int
    most: float = math.inf

    def signed(self, found: Difference, of: int = 1) -> str:
        """Return a difference with its sign and its interval, within the possible values; `of` differences."""
        return self._with_interval(found, "+", (-of * self.most, of * self.most))

    def plain(self, found: Difference) -> str:
        """Return a mean with its interval, within the possible values."""
        return self._with_interval(found, "-", (0 if math.isfinite(self.most) else -math.inf, self.most))

    def _with_interval(self, found: Difference, sign: str, bounds: tuple[float, float]) -> str:
        low, high = bounds
        ends = (min(max(self.factor * end, low), high) for end in found.interval)
        mean, first, last = (f"{value:{sign}.{self.decimals}f}" for value in (self.factor * found.mean, *ends))
        return f"{mean} {self.name} ({first} to {last})".replace("-", "−")


POINTS = Unit("points", 100, 1, 100)
"""Hundredths of a score from 0 to 1, such as percents of accuracy."""
BITS = Unit("bits", 1, 3)
"""Bits per character, of which fewer are better: a score is minus these."""


def mean_of(scores: Scores) -> Difference:
    """Return the mean of scores (S, N) with its interval: the difference from 0."""
    return paired_difference(scores, np.zeros_like(scores))


def better(arms: Arms, limits: Limits, unit: Unit) -> Finding:
    """Compare the first arm with the last; those between them are only shown."""
    first, *_, last = arms.values()
    found = paired_difference(first, last)
    return Finding(unit.signed(found), _above(found, limits["margin"]), _numbers(difference=found))


def contrast(arms: Arms, limits: Limits, unit: Unit) -> Finding:
    """Compare two differences, A − B with C − D, such as that at a long gap with that at a short one."""
    a, b, c, d = arms.values()
    found = paired_difference(a - b, c - d)
    one, other = (unit.signed(paired_difference(*each)) for each in ((a, b), (c, d)))
    return Finding(
        f"{one} against {other}: {unit.signed(found, of=2)}",
        _above(found, limits["margin"]),
        _numbers(difference=found),
    )


def reaches(arms: Arms, limits: Limits, unit: Unit) -> Finding:
    """Hold the first arm to at least a score, and the last to at most one; either limit may be absent."""
    means = {name: mean_of(scores) for name, scores in arms.items()}
    first, last = _ends([mean.interval for mean in means.values()])
    least, most = limits.get("at_least", -math.inf), limits.get("at_most", math.inf)
    text = "; ".join(f"{name} {unit.plain(mean)}" for name, mean in means.items())
    verdict = _verdict(first.low >= least and last.high <= most, first.high < least or last.low > most)
    return Finding(text, verdict, _numbers(**means))


def crosses(arms: Arms, limits: Limits, unit: Unit) -> Finding:
    """Find where two curves cross: the first half of the arms is A, the other Z, each over `positions`."""
    curves, positions = list(arms.values()), limits["positions"]
    n = len(positions)
    found = [paired_difference(a, z) for a, z in zip(curves[:n], curves[n:], strict=True)]
    begin, end = found[0].interval, found[-1].interval
    where = _crossing(positions, [each.mean for each in found])
    text = "; ".join(f"{position:,}: {unit.signed(each)}" for position, each in zip(positions, found, strict=True))
    text += f"; the means cross at {where:,.0f}" if where else "; the means do not cross"
    numbers = _numbers(**{f"at {position}": each for position, each in zip(positions, found, strict=True)})
    verdict = _verdict(begin.high < 0 < end.low, begin.low >= 0 or end.high <= 0)
    return Finding(text, verdict, {**numbers, "crossing": where})


def costs(arms: Arms, limits: Limits, unit: Unit) -> Finding:
    """Compare the cost of a token at the last position with that at the first; `unit` is that of scores, not used."""
    ratios = {
        name: {figure: arm[figure][-1] / arm[figure][0] for figure in ("bytes", "milliseconds")}
        for name, arm in arms.items()
    }
    first, last = _ends(list(ratios.values()))
    holds = max(first.values()) <= limits["at_most"] and min(last.values()) >= limits["at_least"]
    text = "; ".join(
        f"{name} {arm['bytes'][0]:,} → {arm['bytes'][-1]:,} bytes, {arm['milliseconds'][0]:.3f} → "
        f"{arm['milliseconds'][-1]:.3f} ms"
        for name, arm in arms.items()
    )
    return Finding(text, _verdict(holds, not holds), {"ratios": ratios})


class Analysis(NamedTuple):
    """An analysis, and the names of the limits that it needs and of those that may be absent."""

    run: Callable[[Arms, Limits, Unit], Finding]
    needs: frozenset[str]
    may_have: frozenset[str] = frozenset()


ANALYSES = {
    "better": Analysis(better, frozenset({"margin"})),
    "contrast": Analysis(contrast, frozenset({"margin"})),
    "reaches": Analysis(reaches, frozenset(), frozenset({"at_least", "at_most"})),
    "crosses": Analysis(crosses, frozenset({"positions"})),
    "costs": Analysis(costs, frozenset({"at_least", "at_most"})),
}


def _ends(values: Sequence[T]) -> tuple[T, T]:
    """Return the first and the last value, which may be the same."""
    return values[0], values[-1]


def _above(found: Difference, margin: float) -> str:
    return _verdict(found.interval.low > margin, found.interval.high <= margin)


def _verdict(shown: bool, refuted: bool) -> str:
    return SHOWN if shown else REFUTED if refuted else NOT_SHOWN


def _crossing(positions: Sequence[float], differences: Sequence[float]) -> float | None:
    """Return the first position at which a curve over log positions rises through 0, or None."""
    for k in range(len(positions) - 1):
        low, high = differences[k], differences[k + 1]
        if low < 0 <= high:
            share = low / (low - high)
            return math.exp((1 - share) * math.log(positions[k]) + share * math.log(positions[k + 1]))
    return None


def _numbers(**found: Difference) -> dict[str, Any]:
    return {name: {"mean": each.mean, "interval": list(each.interval), "p": each.p} for name, each in found.items()}
