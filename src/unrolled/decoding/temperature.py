"""Temperature scaling of a classifier's probabilities (Guo et al. 2017, On Calibration of Modern Neural Networks).

The logits are divided by one number T > 0: above 1 the probabilities become less certain, below 1 more. Their order
stays, and so does every answer. With p the probabilities at T = 1, those at T are

    p_k^(1/T) / Σ_j p_j^(1/T)

T is fitted by minimising the mean of −log p(truth) on the validation split, which is convex in 1/T.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["HOTTEST", "fit_temperature", "scaled"]

HOTTEST = 20.0
"""Temperatures are fitted from 1 / HOTTEST to HOTTEST: where every answer is right, the loss has no minimum."""
STEPS = 60  # of bisection: the interval becomes smaller than any difference of two floats

Floats = NDArray[np.floating[Any]]
F = TypeVar("F", bound=Floats)


def scaled(probabilities: F, temperature: float) -> F:
    """Return probabilities (…, K) at a temperature; at 1 they are returned as they are."""
    if temperature == 1:
        return probabilities
    logits = _logits(probabilities) / temperature
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: F = powers / powers.sum(axis=-1, keepdims=True)
    return result


def fit_temperature(probabilities: Floats, truth: NDArray[np.integer[Any]]) -> float:
    """Return the temperature of the least mean loss.

    Args:
        probabilities: (N, K), of a model at temperature 1.
        truth: (N,) class indices.
    """
    logits = _logits(probabilities)
    of_truth = np.take_along_axis(logits, truth[:, np.newaxis], axis=1)[:, 0]  # (N,)

    def slope(temperature: float) -> float:
        """Return the derivative of the loss with respect to 1/T: the mean of Σ_k p_k z_k − z_truth."""
        expected = (scaled(probabilities, temperature) * logits).sum(axis=1)
        return float((expected - of_truth).mean())

    if slope(1.0) == 0:  # a minimum, or a loss that no temperature changes
        return 1.0
    low, high = 1 / HOTTEST, HOTTEST
    for _ in range(STEPS):
        middle = float(np.sqrt(low * high))
        if slope(middle) > 0:  # more certain than right: the minimum is at a higher temperature
            low = middle
        else:
            high = middle
    return float(np.sqrt(low * high))


def _logits(probabilities: Floats) -> Floats:
    """Return logits of the probabilities; those of 0 stay finite."""
    logits: Floats = np.log(np.maximum(probabilities, np.finfo(probabilities.dtype).tiny))
    return logits
