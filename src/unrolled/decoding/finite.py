"""Refusal of answers that are no numbers: weights may be finite, and their products not."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from unrolled.errors import CheckpointError

__all__ = ["refuse_infinite"]


def refuse_infinite(values: ArrayLike) -> None:
    """Refuse probabilities, scores or logits of which one is not finite.

    Raises:
        CheckpointError: one is not.
    """
    if not np.isfinite(values).all():
        raise CheckpointError(
            "the network's answers are not finite numbers: its weights, or the scale of its inputs, are too large for "
            "float32; train again, or use another run"
        )
