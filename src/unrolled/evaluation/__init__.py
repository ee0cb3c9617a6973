"""Metrics of each task with 95 % intervals, next to a simple baseline; functions of numbers, without models.

Each module is imported when a name of it is first used: a run needs only the metrics of its own task.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_MODULES = {
    "Calibration": "calibration",
    "ClassScores": "classes",
    "ClassificationResult": "classification",
    "ConfidenceBin": "calibration",
    "GenerationResult": "generation",
    "Interval": "intervals",
    "LengthBin": "classification",
    "MultiLabelResult": "multi_label",
    "RegressionResult": "regression",
    "SpanScores": "spans",
    "TaggingResult": "tagging",
    "TopK": "classification",
    "TranslationResult": "translation",
    "bootstrap": "intervals",
    "evaluate_classification": "classification",
    "evaluate_generation": "generation",
    "evaluate_multi_label": "multi_label",
    "evaluate_regression": "regression",
    "evaluate_tagging": "tagging",
    "evaluate_translation": "translation",
    "wilson": "intervals",
}
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


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"unrolled.evaluation.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
