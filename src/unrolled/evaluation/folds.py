"""Figures of a cross-validation: those of each fold, their mean and standard deviation, and one over all examples.

With f_k a figure of fold k, n_k its examples (for tags its words) and N = Σ n_k:

    mean      = Σ f_k / K
    deviation = √(Σ (f_k − mean)² / (K − 1))
    pooled    = Σ n_k f_k / N

pooled is the accuracy over all examples, each answered by a network that was not trained on it. Its interval of 95 %
treats the folds as strata: with s_k the width of the interval of fold k, the width is √(Σ (n_k s_k / N)²). It does not
cover the variation with the seed of the training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, stdev
from typing import Any

from unrolled.display import Displayed
from unrolled.evaluation.classification import plain
from unrolled.evaluation.intervals import Interval
from unrolled.evaluation.tables import table

__all__ = ["CrossValidation", "cross_validation"]

POOLED = ("accuracy", "exact_match", "subset_accuracy", "mae")  # means over the examples, of which a result has one
INTERVAL = "_interval"


@dataclass(frozen=True, repr=False)
class CrossValidation(Displayed):
    """Figures of a cross-validation; the module's docstring defines them.

    Args:
        examples: N, of all folds together; of task tag the words.
        figure: the name of the pooled figure.
        pooled, pooled_interval: its value over all examples.
        folds: the figures of each fold, by name.
        mean, deviation: mean and standard deviation over the folds, by name.
    """

    examples: int
    figure: str
    pooled: float
    pooled_interval: Interval
    folds: tuple[dict[str, float], ...]
    mean: dict[str, float]
    deviation: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return every figure under its field's name, ready for JSON; an interval is a list of low and high."""
        figures: dict[str, Any] = plain(asdict(self))
        return figures

    def text(self) -> str:
        """Return the figures as a plain text table, at most 80 columns wide, for a terminal."""
        names = list(self.mean)[:5]
        rows = [
            [f"fold {number}", *(f"{figures[name]:.4g}" for name in names)]
            for number, figures in enumerate(self.folds, start=1)
        ]
        rows += [
            [title, *(f"{values[name]:.4g}" for name in names)]
            for title, values in (("mean", self.mean), ("standard deviation", self.deviation))
        ]
        low, high = self.pooled_interval
        pooled = f"{self.figure.replace('_', ' ')} {self.pooled:.1%} ({low:.1%} to {high:.1%})"
        over = f"over all {self.examples:,} examples, each tested once; in brackets the 95 % interval"
        return "\n".join([*table([["", *(name.replace("_", " ") for name in names)], *rows]), "", pooled, over]) + "\n"


def cross_validation(results: Sequence[Mapping[str, Any]]) -> CrossValidation:
    """Return the figures of a cross-validation from the result of each fold, as in its run.json."""
    units = "words" if "words" in results[0] else "n"
    sizes = [result[units] for result in results]
    names = [name.removesuffix(INTERVAL) for name in results[0] if name.endswith(INTERVAL)] + ["loss_nats"]
    names = [name for name in names if all(isinstance(result.get(name), int | float) for result in results)]
    figure = next(name for name in POOLED if name in names)
    pooled = sum(n * result[figure] for n, result in zip(sizes, results, strict=True)) / sum(sizes)
    widths = [result[figure + INTERVAL][1] - result[figure + INTERVAL][0] for result in results]
    half = math.hypot(*(n * width for n, width in zip(sizes, widths, strict=True))) / sum(sizes) / 2
    return CrossValidation(
        examples=sum(sizes),
        figure=figure,
        pooled=pooled,
        pooled_interval=Interval(max(0.0, pooled - half), min(pooled + half, math.inf if figure == "mae" else 1.0)),
        folds=tuple({name: result[name] for name in [units, *names]} for result in results),
        mean={name: mean(result[name] for result in results) for name in names},
        deviation={name: stdev(result[name] for result in results) for name in names},
    )
