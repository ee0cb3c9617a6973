"""The learning rate as a function of the update, and of nothing else.

    climb:   rate(u) = peak · (u + 1) / W                                    u < W, the warm-up
    cosine:  rate(u) = peak · ½ (1 + cos(π (u − W) / (U − W)))               W ≤ u < U, all updates

Loshchilov & Hutter, "SGDR", 2017, without restarts.
"""

from __future__ import annotations

import math

__all__ = ["learning_rate"]


def learning_rate(update: int, updates: int, *, peak: float, warmup: float) -> float:
    """Return the rate of update `update` (from 0) out of `updates`, `warmup` being the share of them that climbs."""
    W = math.ceil(warmup * updates)
    if update < W:
        return peak * (update + 1) / W
    return peak * 0.5 * (1 + math.cos(math.pi * (update - W) / max(1, updates - W)))
