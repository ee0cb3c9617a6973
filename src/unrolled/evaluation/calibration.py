"""Agreement of a classifier's probabilities with its accuracy.

The confidence of an answer is its probability. Answers are sorted by it into 15 bins of equal width, from (b − 1)/15 up
to and with b/15. The expected calibration error is the mean distance of accuracy and confidence of a bin:

    error = Σ_b n_b / N |accuracy_b − confidence_b|        (Naeini et al. 2015; the bins of Guo et al. 2017)
    Brier = mean of Σ_k (p_k − [k = truth])²               (Brier 1950; 0 to 2)

An error of 0.05 says that probabilities are off by five points on average. It has no interval: that of a bootstrap is
biased upwards, since resampling adds noise to every bin.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unrolled.decoding.temperature import scaled
from unrolled.evaluation.intervals import Interval, wilson

__all__ = ["NUM_BINS", "Calibration", "ConfidenceBin", "brier_score", "calibrate", "calibration_lines"]

NUM_BINS = 15

Integers = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class ConfidenceBin:
    """The n answers with a confidence above `low` and up to `high`: their mean confidence, and accuracy."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float
    accuracy_interval: Interval


@dataclass(frozen=True)
class Calibration:
    """Calibration of probabilities at the run's temperature, 1 where none was fitted.

    `unscaled_error` is the error at temperature 1. `bins` are those that are not empty, in order.
    """

    error: float
    temperature: float
    unscaled_error: float
    bins: tuple[ConfidenceBin, ...]


def calibrate(truth: Integers, probabilities: Floats, temperature: float) -> Calibration:
    """Return the calibration of the answers to N examples.

    Args:
        truth: (N,) class indices.
        probabilities: (N, K) at temperature 1.
        temperature: temperature that the run uses.
    """
    bins = _bins(truth, scaled(probabilities, temperature))
    unscaled = bins if temperature == 1 else _bins(truth, probabilities)
    return Calibration(_error(bins), temperature, _error(unscaled), bins)


def brier_score(truth: Integers, probabilities: Floats) -> float:
    """Return the mean squared distance of the probabilities (N, K) to the right classes (N,), from 0 to 2."""
    of_truth = np.take_along_axis(probabilities, truth[:, np.newaxis], axis=1)[:, 0]  # (N,)
    # Σ_k (p_k − [k = t])² = Σ_k p_k² − 2 p_t + 1, without a second matrix
    return float((np.square(probabilities).sum(axis=1) - 2 * of_truth + 1).mean())


def calibration_lines(calibration: Calibration) -> Iterator[str]:
    """Yield the error, and that before the temperature, as a line of at most 80 columns."""
    line = f"calibration error {calibration.error:.3f} (expected, {NUM_BINS} bins)"
    if calibration.temperature != 1:
        line += f"; {calibration.unscaled_error:.3f} before temperature {calibration.temperature:.3g}"
    yield line


def _bins(truth: Integers, probabilities: Floats) -> tuple[ConfidenceBin, ...]:
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth  # (N,)
    edges = np.linspace(0, 1, NUM_BINS + 1)
    index = np.clip(np.searchsorted(edges, confidence), 1, NUM_BINS) - 1  # a sum may exceed 1 by rounding
    made = []
    for b in np.unique(index).tolist():
        inside = index == b
        n, correct = int(inside.sum()), int(right[inside].sum())
        low, high = edges[b : b + 2].tolist()
        made.append(ConfidenceBin(low, high, n, float(confidence[inside].mean()), correct / n, wilson(correct, n)))
    return tuple(made)


def _error(bins: tuple[ConfidenceBin, ...]) -> float:
    """Return the expected calibration error of the bins."""
    return sum(b.n * abs(b.accuracy - b.confidence) for b in bins) / sum(b.n for b in bins)
