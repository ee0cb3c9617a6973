"""Level and power of the interval for a difference of two models (evaluation/difference.py), by simulation.

python benchmarks/level.py      into benchmarks/results/level.json, in two minutes of one core

Two models answer N examples with S seeds each; an answer is right where a latent quantity is above 0: the ease of the
example, plus what the model is good at, plus the luck of the seed, plus noise. Of equal models at most 5 % should be
called different, whatever varies. Other methods on the same data: a t-test over the seeds' means, one over the
means of the examples, a percentile bootstrap over the seeds, and Satterthwaite's degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from record import save
from scipy import stats

from unrolled.evaluation.difference import mean_squares, paired_difference, power

COMPARISONS, N = 2_000, 500
SEEDS = (3, 5)
CASES = {  # standard deviations in the latent quantity: of seeds, of a model's own strengths, of the rest
    "examples alone": (0.0, 0.5, 0.5),
    "seeds a little": (0.1, 0.5, 0.5),
    "seeds as examples": (0.2, 0.5, 0.5),
    "seeds most": (0.5, 0.5, 0.5),
    "noise alone": (0.0, 0.0, 0.5),
}
POWER = {"examples most": (0.0005, 0.2, 0.05), "seeds as examples": (0.002, 0.2, 0.05), "seeds most": (0.02, 0.2, 0.05)}
"""Variances of the differences, for the power at a true difference of two standard errors."""
Scores = NDArray[np.float64]


def satterthwaite(d: Scores) -> bool:
    """Return whether the t-test with approximate degrees of freedom calls the models different."""
    M = mean_squares(d)
    v = max(M.seeds + M.examples - M.rest, 1e-12)
    parts = (M.seeds, M.S - 1), (M.examples, M.N - 1), (M.rest, (M.S - 1) * (M.N - 1))
    freedom = max(1.0, v**2 / sum(mean**2 / k for mean, k in parts))
    return bool(abs(d.mean()) > stats.t.ppf(0.975, freedom) * (v / d.size) ** 0.5)


def bootstrap(d: Scores) -> bool:
    """Return whether the 95 % interval of resampled seeds excludes 0."""
    means = d.mean(axis=1)
    drawn = np.random.default_rng(0).integers(len(means), size=(1_000, len(means)))
    low, high = np.quantile(means[drawn].mean(axis=1), (0.025, 0.975))
    return not low <= 0 <= high


METHODS: dict[str, Callable[[Scores], bool]] = {
    "ours": lambda d: paired_difference(d, np.zeros_like(d)).shown,
    "satterthwaite": satterthwaite,
    "t over seeds": lambda d: bool(stats.ttest_1samp(d.mean(axis=1), 0).pvalue < 0.05),
    "t over examples": lambda d: bool(stats.ttest_1samp(d.mean(axis=0), 0).pvalue < 0.05),
    "bootstrap over seeds": bootstrap,
}


def pair(draw: np.random.Generator, S: int, deviations: tuple[float, float, float]) -> Scores:
    """Return the differences (S, N) of two equal models."""
    seeds, own, rest = deviations
    ease = draw.normal(1.2, 1.5, N)

    def answers() -> Scores:
        latent = ease + draw.normal(0, own, N) + draw.normal(0, seeds, (S, 1))
        return (latent + draw.normal(0, rest, (S, N)) + draw.logistic(0, 0.5, (S, N)) > 0).astype(np.float64)

    return answers() - answers()


def measure() -> dict[str, Any]:
    """Return the fraction of equal models that each method calls different, and our power, computed and simulated."""
    draw = np.random.default_rng(0)
    levels: dict[str, Any] = {}
    for S in SEEDS:
        for case, deviations in CASES.items():
            pairs = [pair(draw, S, deviations) for _ in range(COMPARISONS)]
            found = {name: float(np.mean([method(d) for d in pairs])) for name, method in METHODS.items()}
            levels[f"{S} seeds, {case}"] = found
            print(S, case, found, flush=True)
    powers: dict[str, Any] = {}
    for S in SEEDS:
        for case, variances in POWER.items():
            a, b, e = variances
            delta = 2 * ((N * a + S * b + e) / (S * N)) ** 0.5
            shown = np.mean([
                METHODS["ours"](delta + draw.normal(0, a**0.5, (S, 1)) + draw.normal(0, b**0.5, N)
                                + draw.normal(0, e**0.5, (S, N)))
                for _ in range(COMPARISONS)
            ])  # fmt: skip
            expected = power(delta, variances, S, N)
            errors = abs(shown - expected) / (expected * (1 - expected) / COMPARISONS) ** 0.5
            powers[f"{S} seeds, {case}"] = {"computed": expected, "found": float(shown), "errors": float(errors)}
            print(S, case, powers[f"{S} seeds, {case}"], flush=True)
    return {"comparisons": COMPARISONS, "examples": N, "levels": levels, "powers": powers}


if __name__ == "__main__":
    print(save("level", measure()))
