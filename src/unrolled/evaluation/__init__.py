"""Metrics of each task with 95 % intervals, next to a simple baseline; functions of numbers, without models."""

from unrolled.evaluation.calibration import Calibration, ConfidenceBin
from unrolled.evaluation.classes import ClassScores
from unrolled.evaluation.classification import ClassificationResult, LengthBin, TopK, evaluate_classification
from unrolled.evaluation.generation import GenerationResult, evaluate_generation
from unrolled.evaluation.intervals import Interval, bootstrap, wilson
from unrolled.evaluation.multi_label import MultiLabelResult, evaluate_multi_label
from unrolled.evaluation.regression import RegressionResult, evaluate_regression
from unrolled.evaluation.spans import SpanScores
from unrolled.evaluation.tagging import TaggingResult, evaluate_tagging
from unrolled.evaluation.translation import TranslationResult, evaluate_translation

__all__ = [
    "Calibration",
    "ClassScores",
    "ClassificationResult",
    "ConfidenceBin",
    "GenerationResult",
    "Interval",
    "LengthBin",
    "MultiLabelResult",
    "RegressionResult",
    "SpanScores",
    "TaggingResult",
    "TopK",
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
