"""Metrics of each task with 95 % intervals, next to a simple baseline; functions of numbers, without models."""

from unrolled.evaluation.classification import (
    ClassificationResult,
    ClassScores,
    LengthBin,
    evaluate_classification,
)
from unrolled.evaluation.generation import GenerationResult, evaluate_generation
from unrolled.evaluation.intervals import Interval, bootstrap, wilson
from unrolled.evaluation.multi_label import MultiLabelResult, evaluate_multi_label
from unrolled.evaluation.regression import RegressionResult, evaluate_regression
from unrolled.evaluation.tagging import TaggingResult, evaluate_tagging
from unrolled.evaluation.translation import TranslationResult, evaluate_translation

__all__ = [
    "ClassScores",
    "ClassificationResult",
    "GenerationResult",
    "Interval",
    "LengthBin",
    "MultiLabelResult",
    "RegressionResult",
    "TaggingResult",
    "TranslationResult",
    "bootstrap",
    "evaluate_classification",
    "evaluate_generation",
    "evaluate_multi_label",
    "evaluate_regression",
    "evaluate_tagging",
    "evaluate_translation",
    "wilson",
]
