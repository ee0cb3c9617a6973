"""How good a model is: figures with intervals, beside the simplest rival. Numbers in, numbers out; no model here."""

from unrolled.evaluation.classification import (
    ClassificationResult,
    ClassScores,
    LengthBin,
    evaluate_classification,
)
from unrolled.evaluation.generation import GenerationResult, evaluate_generation
from unrolled.evaluation.intervals import Interval, bootstrap, wilson

__all__ = [
    "ClassScores",
    "ClassificationResult",
    "GenerationResult",
    "Interval",
    "LengthBin",
    "bootstrap",
    "evaluate_classification",
    "evaluate_generation",
    "wilson",
]
