"""Scores of test examples as the study holds them: inputs and truths once, the rest for each training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from unrolled.evaluation.by_example import ByExample

__all__ = ["examples", "packed", "unpacked"]


def examples(scored: ByExample) -> dict[str, Any]:
    """Return the values that all trainings share, as JSON values."""
    return {"inputs": list(scored.inputs), "truths": list(scored.truths), "lengths": scored.lengths.tolist()}


def packed(scored: ByExample) -> dict[str, Any]:
    """Return the rest."""
    return {
        "figure": scored.figure,
        "greater_is_better": scored.greater_is_better,
        "scores": scored.scores.tolist(),
        "answers": list(scored.answers),
    }


def unpacked(common: Mapping[str, Any], own: Mapping[str, Any]) -> ByExample:
    """Return the scores of one training."""
    return ByExample(
        own["figure"],
        own["greater_is_better"],
        np.array(own["scores"], dtype=np.float64),
        np.array(common["lengths"], dtype=np.int64),
        tuple(common["inputs"]),
        tuple(common["truths"]),
        tuple(own["answers"]),
    )
