"""Metrics of a classifier on held-out examples, as `unrolled evaluate` prints them for the task classify.

They are functions of class indices and probabilities, not of a model. With C the confusion matrix (rows are the truth,
columns the answer: the most probable class, or the first of several), and k a class:

    accuracy    = Σ_k C[k, k] / N
    precision_k = C[k, k] / Σ_i C[i, k]                            fraction of the answers k that are right
    recall_k    = C[k, k] / Σ_j C[k, j]                            fraction of the examples of k that are answered k
    f1_k        = 2 C[k, k] / (Σ_i C[i, k] + Σ_j C[k, j])          their harmonic mean
    macro_f1    = mean of f1_k over the classes that occur, as truth or as answer
    loss_nats   = −mean log p(truth)

Where a denominator is 0 (a class never answered, or absent from the test split) the metric is 0. Both choices are those
of scikit-learn (`zero_division=0`, `f1_score(average="macro")`), so that figures can be compared with others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unrolled.display import Displayed
from unrolled.errors import DataError, ShapeError
from unrolled.evaluation.intervals import Interval, bootstrap, wilson
from unrolled.evaluation.lengths import by_length
from unrolled.evaluation.tables import WIDTH, count, percent, plural, safe, shorten, table, width

__all__ = [
    "ClassScores",
    "ClassificationResult",
    "LengthBin",
    "class_table",
    "classification_text",
    "evaluate_classification",
    "macro_f1",
]

MAX_CLASSES = 40
"""Maximum number of rows in the table of classes."""
MAX_CONFUSIONS = 12
"""Maximum number of rows in the list that replaces a confusion matrix too wide for the terminal."""
MAX_SHOWN = 10
"""Maximum number of classes in a confusion matrix of a notebook."""
MIN_LABEL = 20
"""Columns reserved for a label; a matrix that leaves fewer is too wide."""

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


@dataclass(frozen=True)
class LengthBin:
    """Accuracy of the n examples of `shortest` to `longest` tokens, both included."""

    shortest: int
    longest: int
    n: int
    accuracy: float
    accuracy_interval: Interval


@dataclass(frozen=True, repr=False)
class ClassificationResult(Displayed):
    """Metrics of a classifier on one test split, as fractions from 0 to 1; intervals cover 95 %.

    `majority_accuracy` is the accuracy of the baseline that always answers the most frequent class of the training
    split. `confusion` is (K, K): rows are the truth, columns the answer, in the order of `classes`.
    """

    n: int
    accuracy: float
    accuracy_interval: Interval
    macro_f1: float
    macro_f1_interval: Interval
    loss_nats: float
    majority_label: str
    majority_accuracy: float
    classes: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...]
    by_length: tuple[LengthBin, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return every figure under its field's name, ready for JSON; an interval is a list of low and high."""
        figures: dict[str, Any] = plain(asdict(self))
        return figures

    def text(self) -> str:
        """Return the figures as plain text tables, at most 80 columns wide, for a terminal."""
        return classification_text(self)

    def _display(self) -> dict[str, object]:
        """Return the figures, with the confusion matrix by labels where it is small."""
        labels = [scores.label for scores in self.classes]
        if len(labels) > MAX_SHOWN:
            return super()._display()
        matrix = [
            {"truth ↓, answer →": truth} | dict(zip(labels, row, strict=True))
            for truth, row in zip(labels, self.confusion, strict=True)
        ]
        return super()._display() | {"confusion": matrix}


def evaluate_classification(
    labels: Sequence[str], truth: ArrayLike, probabilities: ArrayLike, lengths: ArrayLike, *, majority: int
) -> ClassificationResult:
    """Return the metrics of a classifier's answers.

    Args:
        labels: the K class names, in the order of their indices.
        truth: (N,) integers, the right class of each example.
        probabilities: (N, K) floats, the classifier's probability of each class; each example's sum to 1. A
            probability of 0 for the truth counts as the smallest normal number of its dtype (87 nats in float32), so
            that the loss stays finite.
        lengths: (N,) integers, the tokens of each example.
        majority: index of the training split's most frequent class.

    Raises:
        ShapeError: an argument has the wrong shape or dtype; the message names it.
        DataError: there is no example, or a value is invalid: a class outside of `labels`, a negative length,
            probabilities that do not sum to 1.
    """
    truth, probabilities, lengths = np.asarray(truth), np.asarray(probabilities), np.asarray(lengths)
    _check(len(labels), truth, probabilities, lengths, majority)
    N, K = probabilities.shape
    answers = probabilities.argmax(axis=1)  # (N,)
    right = answers == truth  # (N,)
    confusion = np.bincount(truth.astype(np.int64) * K + answers, minlength=K * K).reshape(K, K)
    correct = int(confusion.trace())

    # Accuracy and macro-F1 depend on the examples only through the confusion matrix, so resampling its cells is enough;
    # an empty cell stays empty in every resample.
    cells = np.nonzero(confusion)  # (M,), (M,)
    f1_interval = bootstrap(confusion[cells], lambda counts: macro_f1(counts, *cells))
    return ClassificationResult(
        n=N,
        accuracy=correct / N,
        accuracy_interval=bootstrap([correct, N - correct], lambda counts: counts[:, 0] / N),
        macro_f1=float(macro_f1(confusion[cells][np.newaxis], *cells)[0]),
        macro_f1_interval=f1_interval,
        loss_nats=loss_of(probabilities, truth),
        majority_label=labels[majority],
        majority_accuracy=float((truth == majority).mean()),
        classes=class_scores(labels, truth, answers),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        by_length=tuple(_by_length(lengths, right)),
    )


def class_scores(labels: Sequence[str], truth: Integers, answers: Integers) -> tuple[ClassScores, ...]:
    """Return precision, recall and F1 of each of the K classes, from the right ones (N,) and the answers (N,)."""
    K = len(labels)
    confusion = np.bincount(truth.astype(np.int64) * K + answers, minlength=K * K).reshape(K, K)
    hits, support, answered = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)  # (K,) each
    columns = _ratio(hits, answered), _ratio(hits, support), _ratio(2 * hits, answered + support)
    return tuple(ClassScores(*scores) for scores in zip(labels, *columns, support.tolist(), strict=True))


def loss_of(probabilities: Floats, truth: Integers) -> float:
    """Return the mean of −ln p of the right classes (N,), in nats, from the probabilities (N, K)."""
    right = np.take_along_axis(probabilities, truth[:, np.newaxis], axis=1)[:, 0]  # (N,)
    logs = np.log(np.maximum(right, np.finfo(right.dtype).tiny), dtype=np.float64)  # (N,)
    return max(0.0, -float(logs.mean()))  # a probability may exceed 1 by rounding, and 0 has no sign


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
    f1 = 2 * hits / np.maximum(totals, 1)  # (R, G)
    mean: Floats = f1.sum(axis=1) / (totals > 0).sum(axis=1)
    return mean


def _check(K: int, truth: Integers, probabilities: Floats, lengths: Integers, majority: int) -> None:
    """Raise ShapeError or DataError where an argument of `evaluate_classification` is invalid."""
    check_answers(K, truth, probabilities)
    if lengths.shape != truth.shape:
        raise ShapeError(
            f"lengths must have shape (N={len(truth)},), one for each row of probabilities: got {lengths.shape}"
        )
    if lengths.dtype.kind not in "iu":
        raise ShapeError(f"lengths must be integers: got {lengths.dtype}")
    if not 0 <= majority < K:
        raise DataError(f"majority must be a class index from 0 to {K - 1}: got {majority}")
    if lengths.min() < 0:
        raise DataError(f"lengths must not be negative: got {lengths.min()}")


def check_answers(K: int, truth: Integers, probabilities: Floats) -> None:
    """Check right classes (N,) and probabilities (N, K).

    Raises:
        ShapeError: a wrong shape or dtype. DataError: there is no example, or a value is invalid.
    """
    if probabilities.ndim != 2 or probabilities.shape[1] != K or K == 0:
        raise ShapeError(
            f"probabilities must have shape (N, K={K}), one column for each of {K} labels: got {probabilities.shape}"
        )
    N = len(probabilities)
    if truth.shape != (N,):
        raise ShapeError(f"truth must have shape (N={N},), one for each row of probabilities: got {truth.shape}")
    if N == 0:
        raise DataError("there is no example to evaluate on", fix="pass a test split with at least one example")
    if truth.dtype.kind not in "iu":
        raise ShapeError(f"truth must be integers: got {truth.dtype}")
    if probabilities.dtype.kind != "f":
        raise ShapeError(f"probabilities must be floats: got {probabilities.dtype}")
    if not 0 <= truth.min() <= truth.max() < K:
        raise DataError(f"truth must hold class indices from 0 to {K - 1}: got {truth.min()} to {truth.max()}")
    sums = probabilities.sum(axis=1, dtype=np.float64)  # (N,)
    # 1e-3: a softmax in half precision over thousands of classes is off by less; logits are off by far more.
    off = ~(np.abs(sums - 1) <= 1e-3)  # NaN is off too
    if off.any() or probabilities.min() < 0:
        example = int(off.argmax() if off.any() else probabilities.min(axis=1).argmin())
        raise DataError(
            f"probabilities of example {example} are not from 0 to 1 with sum 1: "
            f"smallest {probabilities[example].min():g}, sum {sums[example]:g}",
            fix="pass probabilities, not logits: softmax them first; if they are nan, the model has diverged",
        )


def _ratio(count: Integers, total: Integers) -> list[float]:
    """Return count / total, and 0 where total is 0."""
    ratio: list[float] = (count / np.maximum(total, 1)).tolist()
    return ratio


def _by_length(lengths: Integers, right: NDArray[np.bool_]) -> Iterator[LengthBin]:
    for indices in by_length(lengths):
        n, correct = len(indices), int(right[indices].sum())
        yield LengthBin(int(lengths[indices[0]]), int(lengths[indices[-1]]), n, correct / n, wilson(correct, n))


def plain(value: Any) -> Any:
    """Return `value` with its tuples as lists, ready for JSON."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def classification_text(result: ClassificationResult) -> str:
    """Return summary, classes, confusion matrix and accuracy by length as text of at most 80 columns."""
    blocks = [_summary(result), class_table(result.classes, "class", "examples"), _confusion(result)]
    if len(result.by_length) > 1:
        blocks.append(_length_table(result))
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _summary(result: ClassificationResult) -> Iterator[str]:
    yield f"{count(result.n, 'example', 'examples')}, {count(len(result.classes), 'class', 'classes')}"
    yield ""
    for name, value, (low, high) in (
        ("accuracy", result.accuracy, result.accuracy_interval),
        ("macro-F1", result.macro_f1, result.macro_f1_interval),
    ):
        yield f"{name}  {percent(value):>5} %  ({percent(low)} to {percent(high)})"
    majority = shorten(safe(result.majority_label), 34)
    yield f"majority  {percent(result.majority_accuracy):>5} %  most frequent in training: {majority}"
    yield f"loss      {result.loss_nats:>5.3f} nats an example"
    yield "In brackets: 95 % intervals, bootstrap over the examples"


def class_table(classes: Sequence[ClassScores], noun: str, units: str) -> Iterator[str]:
    """Yield a table of the classes as lines of at most 80 columns.

    noun: the word for a class, "class" or "tag". units: the plural word for its examples, "examples" or "words".
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


def _confusion(result: ClassificationResult) -> Iterator[str]:
    """Yield the confusion matrix with labels over its columns, or with numbers, or the most frequent confusions.

    The first form that fits into 80 columns is taken.
    """
    labels = [safe(scores.label) for scores in result.classes]
    digits = len(str(len(labels) - 1))
    numbered = [f"{index:>{digits}} {label}" for index, label in enumerate(labels)]
    counts = [[f"{n:,}" for n in row] for row in result.confusion]
    cells = [max(map(len, column)) for column in zip(*counts, strict=True)]
    for rows, columns in ((labels, labels), (numbered, list(map(str, range(len(labels)))))):
        needed = sum(2 + max(cell, width(head)) for cell, head in zip(cells, columns, strict=True))
        if needed + min(MIN_LABEL, max(map(width, rows))) <= WIDTH:
            yield "Confusion matrix: rows are the truth, columns the answer"
            yield from table([["", *columns], *([row, *line] for row, line in zip(rows, counts, strict=True))])
            return
    wrong = [(n, i, j) for i, row in enumerate(result.confusion) for j, n in enumerate(row) if n and i != j]
    wrong.sort(key=lambda confusion: -confusion[0])
    yield f"The most frequent of {len(wrong):,} confusions (the matrix is too wide to show here)"
    lines = [
        [f"{shorten(labels[i], 27)} → {shorten(labels[j], 27)}", f"{n:,}", percent(n / result.classes[i].support)]
        for n, i, j in wrong[:MAX_CONFUSIONS]
    ]
    yield from table([["truth → answer", "examples", "% of truth"], *lines])


def _length_table(result: ClassificationResult) -> Iterator[str]:
    yield "Accuracy by length, with 95 % Wilson intervals"
    lines = [
        [
            f"{b.shortest:,} to {b.longest:,}" if b.shortest < b.longest else f"{b.shortest:,}",
            f"{b.n:,}",
            percent(b.accuracy),
            f"({percent(b.accuracy_interval.low)} to {percent(b.accuracy_interval.high)})",
        ]
        for b in result.by_length
    ]
    yield from table([["tokens", "examples", "accuracy", ""], *lines])
