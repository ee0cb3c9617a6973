"""Metrics of predicted numbers on held-out examples, as `unrolled evaluate` prints them for the task regress.

With y the true numbers of N examples, ŷ the predicted ones, and ȳ the mean of y:

    mae       = Σ |y − ŷ| / N
    rmse      = √(Σ (y − ŷ)² / N)
    r2        = 1 − Σ (y − ŷ)² / Σ (y − ȳ)²         1: no error; 0: as good as always saying ȳ; below 0: worse
    pearson   = correlation of y and ŷ
    spearman  = correlation of their ranks; equal numbers share the mean of their ranks
    loss_nats = mean of (z − ẑ)² / 2 + ln(2π) / 2   on the scale of the training split, z = (y − mean) / deviation

Where a denominator is 0 (all y are equal, or all ŷ) the metric is undefined: None. The others are those of scikit-learn
and scipy. The intervals resample the examples, each with its prediction, and rank them anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unrolled.display import Displayed
from unrolled.errors import DataError, ShapeError
from unrolled.evaluation.classification import plain
from unrolled.evaluation.intervals import Interval, draws, resample, spread
from unrolled.evaluation.lengths import by_length
from unrolled.evaluation.tables import count, table

__all__ = ["ErrorBin", "RegressionResult", "evaluate_regression", "gaussian_nats", "r2_of"]

TITLES = {
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "r2": "R²",
    "pearson": "Pearson's correlation",
    "spearman": "Spearman's rank correlation",
}

Floats = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class ErrorBin(Displayed):
    """Mean absolute error of the n examples of `shortest` to `longest` tokens, both included."""

    shortest: int
    longest: int
    n: int
    mae: float
    mae_interval: Interval


@dataclass(frozen=True, repr=False)
class RegressionResult(Displayed):
    """Metrics of predicted numbers on one test split; intervals cover 95 %, and None is undefined.

    `mae` and `rmse` are in the unit of the numbers. `mean` is that of the training split, and `mean_mae`, `mean_rmse`
    and `mean_r2` are the metrics of the baseline that always predicts it.
    """

    n: int
    mae: float
    mae_interval: Interval
    rmse: float
    rmse_interval: Interval
    r2: float | None
    r2_interval: Interval | None
    pearson: float | None
    pearson_interval: Interval | None
    spearman: float | None
    spearman_interval: Interval | None
    loss_nats: float
    mean: float
    mean_mae: float
    mean_rmse: float
    mean_r2: float | None
    by_length: tuple[ErrorBin, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return every figure under its field's name, ready for JSON; an interval is a list of low and high."""
        figures: dict[str, Any] = plain(asdict(self))
        return figures

    def text(self) -> str:
        """Return the figures as plain text tables, at most 80 columns wide, for a terminal."""
        return "\n".join(_lines(self)) + "\n"


def evaluate_regression(
    truth: ArrayLike, predicted: ArrayLike, lengths: ArrayLike, *, mean: float, deviation: float
) -> RegressionResult:
    """Return the metrics of predicted numbers.

    Args:
        truth, predicted: (N,) floats, the true and the predicted number of each example.
        lengths: (N,) integers, the tokens of each example.
        mean, deviation: mean and standard deviation of the numbers of the training split.

    Raises:
        ShapeError: arguments of unequal or wrong shape.
        DataError: there is no example, a number is not finite, or the deviation is not above 0.
    """
    truth, predicted = np.asarray(truth, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    lengths = np.asarray(lengths)
    _check(truth, predicted, lengths, deviation)
    with np.errstate(over="ignore"):
        loss = float(gaussian_nats((truth - predicted) / deviation).mean())
    if not math.isfinite(loss):
        raise DataError(
            f"the errors are too large next to the deviation, {deviation:g}", fix="evaluate on data of the same unit"
        )
    metrics = _metrics(truth, predicted)
    found = metrics(np.ones(len(truth)))
    resampled = _transposed(metrics(counts.astype(np.float64)) for counts in draws(len(truth)))
    figures: dict[str, Any] = dict(found)
    for name, values in resampled.items():
        figures[f"{name}_interval"] = None if found[name] is None else _interval(values)
    always = _metrics(truth, np.full_like(truth, mean))(np.ones(len(truth)))
    return RegressionResult(
        n=len(truth),
        **figures,
        loss_nats=loss,
        mean=mean,
        **{f"mean_{name}": always[name] for name in ("mae", "rmse", "r2")},
        by_length=tuple(_by_length(lengths, np.abs(truth - predicted))),
    )


def gaussian_nats(errors: Floats) -> Floats:
    """Return −ln of the density of a Gaussian with variance 1 at errors (N,)."""
    return np.square(errors) / 2 + math.log(2 * math.pi) / 2


def r2_of(truth: Floats, predicted: Floats) -> float | None:
    """Return R² of predicted numbers (N,); None if all true ones are equal."""
    if (truth == truth[0]).all():
        return None
    return float(1 - np.square(truth - predicted).sum() / _squares(truth, np.ones(len(truth))))


def _metrics(truth: Floats, predicted: Floats) -> Callable[[Floats], dict[str, Any]]:
    """Return the metrics as a function of the number of times that each of the N examples counts, (N,)."""
    errors = truth - predicted
    groups = [np.unique(values, return_inverse=True)[1] for values in (truth, predicted)]  # of equal numbers, ascending

    def of(counts: Floats) -> dict[str, float | None]:
        N = counts.sum()
        totals = [np.bincount(group, counts) for group in groups]
        varies = [np.count_nonzero(total) > 1 for total in totals]
        ranks = [(total.cumsum() - (total - 1) / 2)[group] for total, group in zip(totals, groups, strict=True)]
        squares = counts @ np.square(errors)
        return {
            "mae": float(counts @ np.abs(errors) / N),
            "rmse": math.sqrt(squares / N),
            "r2": float(1 - squares / _squares(truth, counts)) if varies[0] else None,
            "pearson": _correlation(truth, predicted, counts) if all(varies) else None,
            "spearman": _correlation(ranks[0], ranks[1], counts) if all(varies) else None,
        }

    return of


def _squares(values: Floats, counts: Floats) -> float:
    """Return the sum of the squared distances of counted numbers (N,) from their mean."""
    return float(counts @ np.square(values - counts @ values / counts.sum()))


def _correlation(a: Floats, b: Floats, counts: Floats) -> float:
    """Return Pearson's correlation of two counted numbers, (N,) each, neither of which is constant."""
    a, b = (values - counts @ values / counts.sum() for values in (a, b))
    a, b = a / np.abs(a).max(), b / np.abs(b).max()  # so that no square is 0 or infinite
    return float(np.clip(counts @ (a * b) / math.sqrt((counts @ np.square(a)) * (counts @ np.square(b))), -1, 1))


def _transposed(resampled: Iterable[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return the values of each metric, from the metrics of each resample."""
    rows = list(resampled)
    return {name: [row[name] for row in rows] for name in rows[0]}


def _interval(values: list[float | None]) -> Interval:
    """Return the interval of a metric over the resamples in which it is defined."""
    return spread(np.array([value for value in values if value is not None]))


def _by_length(lengths: NDArray[np.integer[Any]], errors: Floats) -> Iterator[ErrorBin]:
    for indices in by_length(lengths):
        own = errors[indices]
        interval = spread(resample(own[:, np.newaxis])[:, 0] / len(own))
        yield ErrorBin(int(lengths[indices[0]]), int(lengths[indices[-1]]), len(own), float(own.mean()), interval)


def _check(truth: Floats, predicted: Floats, lengths: NDArray[Any], deviation: float) -> None:
    """Raise ShapeError or DataError where an argument of `evaluate_regression` is invalid."""
    if truth.ndim != 1 or predicted.shape != truth.shape or lengths.shape != truth.shape:
        raise ShapeError(
            f"truth, predicted and lengths must be (N,): got {truth.shape}, {predicted.shape} and {lengths.shape}"
        )
    if lengths.dtype.kind not in "iu":
        raise ShapeError(f"lengths must be integers: got {lengths.dtype}")
    if not len(truth):
        raise DataError("there is no example to evaluate on", fix="pass a test split with at least one example")
    if not (np.isfinite(truth).all() and np.isfinite(predicted).all()):
        raise DataError("a number is not finite", fix="pass finite numbers")
    if not (0 < deviation < math.inf and math.isfinite(deviation)):
        raise DataError(f"the deviation must be above 0: got {deviation}", fix="pass that of the training split")


def _lines(result: RegressionResult) -> Iterator[str]:
    yield f"{count(result.n, 'example', 'examples')}"
    yield ""
    yield from table([["", "", "95 % interval", f"always {result.mean:.4g}"], *_rows(result)])
    yield ""
    yield f"loss  {result.loss_nats:.3f} nats an example, on the scale of the training split"
    yield f"In the last column: always the mean of the training split, {result.mean:.6g}"
    if len(result.by_length) > 1:
        yield ""
        yield "Mean absolute error by length"
        lines = [
            [
                f"{b.shortest:,} to {b.longest:,}" if b.shortest < b.longest else f"{b.shortest:,}",
                f"{b.n:,}",
                f"{b.mae:.4g}",
                f"({b.mae_interval.low:.4g} to {b.mae_interval.high:.4g})",
            ]
            for b in result.by_length
        ]
        yield from table([["tokens", "examples", "error", ""], *lines])


def _rows(result: RegressionResult) -> Iterator[list[str]]:
    always = {"mae": result.mean_mae, "rmse": result.mean_rmse, "r2": result.mean_r2}
    for name, title in TITLES.items():
        value, interval = getattr(result, name), getattr(result, f"{name}_interval")
        yield [
            title,
            _number(value),
            "" if interval is None else f"({_number(interval.low)} to {_number(interval.high)})",
            _number(always[name]) if name in always else "",
        ]


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"
