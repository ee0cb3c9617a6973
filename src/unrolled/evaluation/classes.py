"""Precision, recall and F1 of classes, shared by all tasks whose answers are classes: labels, tags, types of spans.

The formulas and their choices where a denominator is 0 are those of `classification.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unrolled.evaluation.tables import count, percent, plural, safe, table

__all__ = ["ClassScores", "class_scores", "class_table", "f1_of", "macro_f1", "mean_f1"]

MAX_CLASSES = 40
"""Maximum number of rows in the table of classes."""

Integers = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class ClassScores:
    """Scores of one class, from 0 to 1, and the number of its examples (`support`)."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


def class_scores(labels: Sequence[str], truth: Integers, answers: Integers) -> tuple[ClassScores, ...]:
    """Return precision, recall and F1 of each of the K classes, from the right ones (N,) and the answers (N,)."""
    K = len(labels)
    confusion = np.bincount(truth.astype(np.int64) * K + answers, minlength=K * K).reshape(K, K)
    hits, support, answered = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)  # (K,) each
    columns = _ratio(hits, answered), _ratio(hits, support), _ratio(2 * hits, answered + support)
    return tuple(ClassScores(*scores) for scores in zip(labels, *columns, support.tolist(), strict=True))


def f1_of(truth: Integers, answers: Integers) -> float:
    """Return the macro-F1 of answers (N,) with the right classes (N,), N > 0."""
    cells, counts = np.unique(np.stack([truth, answers]), axis=1, return_counts=True)  # (2, M), (M,)
    return float(macro_f1(counts[np.newaxis], *cells)[0])


def macro_f1(counts: Integers, truth: Integers, answer: Integers) -> Floats:
    """Return the macro-F1 of R confusion matrices, (R,), from the counts of their cells (R, M).

    Cell m holds the examples of class `truth[m]` that were answered `answer[m]`; both are (M,). The mean is over the
    classes that occur in each matrix, so a resample without any example of a class is scored without that class.
    """
    # The row and column sums of all classes in one pass: each cell is counted once as truth and once as answer.
    M = len(truth)
    classes, group = np.unique(np.concatenate([truth, answer]), return_inverse=True)  # (G,), (2M,)
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(len(classes)))  # (G,)
    totals = np.add.reduceat(counts[:, order % M], starts, axis=1)  # (R, G), answered + support
    hits = np.zeros_like(totals)
    diagonal = truth == answer
    hits[:, np.searchsorted(classes, truth[diagonal])] = counts[:, diagonal]
    return mean_f1(hits, totals)


def mean_f1(hits: NDArray[Any], totals: NDArray[Any]) -> Floats:
    """Return the mean F1, (R,), over the classes with a total above 0.

    Args:
        hits: (R, G), right answers of each of G classes.
        totals: (R, G), examples of the class and answers of it.
    """
    f1 = 2 * hits / np.maximum(totals, 1)  # (R, G)
    mean: Floats = f1.sum(axis=1) / (totals > 0).sum(axis=1)
    return mean


def class_table(classes: Sequence[ClassScores], noun: str, units: str) -> Iterator[str]:
    """Yield a table of the classes as lines of at most 80 columns.

    Args:
        noun: the word for a class, "class" or "tag".
        units: the plural word for its examples, "examples" or "words".
    """
    shown = tuple(classes)
    if len(shown) > MAX_CLASSES:
        shown = tuple(sorted(shown, key=lambda scores: -scores.support)[:MAX_CLASSES])
    head = [noun, "precision", "recall", "F1", units]
    yield from table(
        [head, *([safe(s.label), *map(percent, (s.precision, s.recall, s.f1)), f"{s.support:,}"] for s in shown)]
    )
    if len(shown) < len(classes):
        yield f"… and {len(classes) - len(shown):,} {plural(noun)} with fewer {units}"
    if absent := sum(scores.support == 0 for scores in classes):
        words = count(absent, f"{noun} has", f"{plural(noun)} have")
        yield f"{words} no {units.removesuffix('s')} here: undefined values are shown as 0.0"


def _ratio(count: Integers, total: Integers) -> list[float]:
    """Return count / total, and 0 where total is 0."""
    ratio: list[float] = (count / np.maximum(total, 1)).tolist()
    return ratio
