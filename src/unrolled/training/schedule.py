"""The learning rate as a function of the update and the number of reductions, and of nothing else.

    warm-up:       rate(u) = peak · (u + 1) / W                                u < W
    cosine:        rate(u) = peak · ½ (1 + cos(π (u − W) / (U − W)))           W ≤ u < U, all updates
    inverse_sqrt:  rate(u) = peak · √(W / (u + 1))                             W ≤ u, W at least 1
    constant:      rate(u) = peak
    plateau:       rate(u) = peak · factor^k                                   k: number of reductions

The plateau schedule reduces the rate whenever the validation loss has not improved for some evaluations.
Cosine: Loshchilov & Hutter, "SGDR", 2017, without restarts. Inverse square root: Vaswani et al., "Attention is all you
need", 2017, equation 3, where the peak is 1 / √(D W) and the warm-up has 4,000 updates.
"""

from __future__ import annotations

import math
from typing import Literal

__all__ = ["Schedule", "learning_rate"]

Schedule = Literal["cosine", "inverse_sqrt", "plateau", "constant"]


def learning_rate(
    update: int, updates: int, *, peak: float, warmup: float, schedule: Schedule = "cosine", reduced: float = 1.0
) -> float:
    """Return the learning rate of an update.

    Args:
        update: number of the update, from 0, out of `updates`.
        peak: the largest rate.
        warmup: the fraction of the updates that warm up.
        schedule: schedule after the warm-up.
        reduced: factor^k, of the plateau schedule; else 1.
    """
    W = math.ceil(warmup * updates)
    if update < W:
        return reduced * peak * (update + 1) / W
    if schedule == "cosine":
        return reduced * peak * 0.5 * (1 + math.cos(math.pi * (update - W) / max(1, updates - W)))
    if schedule == "inverse_sqrt":
        return reduced * peak * math.sqrt(max(1, W) / (update + 1))
    return reduced * peak
