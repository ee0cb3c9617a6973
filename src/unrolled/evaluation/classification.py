"""Metrics of a classifier on held-out examples, as `unrolled evaluate` prints them for the task classify.

They are functions of class indices and probabilities, not of a model. With C the confusion matrix (rows are the truth,
columns the answer: the most probable class, or the first of several), and k a class:

    accuracy    = Σ_k C[k, k] / N
    precision_k = C[k, k] / Σ_i C[i, k]                            fraction of the answers k that are right
    recall_k    = C[k, k] / Σ_j C[k, j]                            fraction of the examples of k that are answered k
    f1_k        = 2 C[k, k] / (Σ_i C[i, k] + Σ_j C[k, j])          their harmonic mean
    macro_f1    = mean of f1_k over the classes that occur, as truth or as answer
    loss_nats   = −mean log p(truth)
    top_k       = fraction of the examples whose class is among the k most probable ones; k = 2, 3, 5, below K

The calibration of the probabilities is defined in `calibration.py`.

Where a denominator is 0 (a class never answered, or absent from the test split) the metric is 0. Both choices are those
of scikit-learn (`zero_division=0`, `f1_score(average="macro")`), so that figures can be compared with others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unrolled.decoding.temperature import scaled
from unrolled.display import Displayed
from unrolled.errors import DataError, ShapeError
from unrolled.evaluation.calibration import Calibration, brier_score, calibrate, calibration_lines
from unrolled.evaluation.classes import ClassScores, class_scores, class_table, macro_f1
from unrolled.evaluation.intervals import Interval, bootstrap, of_fraction, wilson
from unrolled.evaluation.lengths import by_length
from unrolled.evaluation.reliability import reliability
from unrolled.evaluation.tables import WIDTH, count, percent, safe, shorten, table, width

__all__ = [
    "ClassificationResult",
    "LengthBin",
    "TopK",
    "classification_text",
    "evaluate_classification",
]

TOP = (2, 3, 5)
"""The numbers k of top-k accuracy; k below the number of classes."""
MAX_CONFUSIONS = 12
"""Maximum number of rows in the list that replaces a confusion matrix too wide for the terminal."""
MAX_SHOWN = 10
"""Maximum number of classes in a confusion matrix of a notebook."""
MIN_LABEL = 20
"""Columns reserved for a label; a matrix that leaves fewer is too wide."""

Integers = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class TopK:
    """Fraction of the examples whose class is among the k most probable ones."""

    k: int
    accuracy: float
    accuracy_interval: Interval


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
    top_k: tuple[TopK, ...]
    loss_nats: float
    brier: float
    calibration: Calibration
    majority_label: str
    majority_accuracy: float
    classes: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...]
    by_length: tuple[LengthBin, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return every figure under its field's name, ready for JSON; an interval is a list of low and high."""
        figures: dict[str, Any] = plain(asdict(self))
        return figures

    def picture(self, title: str = "Reliability of the answers") -> str:
        """Return the reliability diagram of the answers as SVG; see `reliability.py`."""
        return reliability(self.calibration, title=title, unit="examples")

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
    labels: Sequence[str],
    truth: ArrayLike,
    probabilities: ArrayLike,
    lengths: ArrayLike,
    *,
    majority: int,
    temperature: float = 1.0,
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
        temperature: temperature of the run; the probabilities are those at temperature 1, and are scaled here.

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
    accuracy_interval = of_fraction(correct, N)
    f1_interval = accuracy_interval  # where all are right both are 1, and a bootstrap has no width
    if correct < N:
        f1_interval = bootstrap(confusion[cells], lambda counts: macro_f1(counts, *cells))
    return ClassificationResult(
        n=N,
        accuracy=correct / N,
        accuracy_interval=accuracy_interval,
        macro_f1=float(macro_f1(confusion[cells][np.newaxis], *cells)[0]),
        macro_f1_interval=f1_interval,
        top_k=tuple(_top_k(truth, probabilities)),
        loss_nats=loss_of(scaled(probabilities, temperature), truth),
        brier=brier_score(truth, scaled(probabilities, temperature)),
        calibration=calibrate(truth, probabilities, temperature),
        majority_label=labels[majority],
        majority_accuracy=float((truth == majority).mean()),
        classes=class_scores(labels, truth, answers),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        by_length=tuple(_by_length(lengths, right)),
    )


def loss_of(probabilities: Floats, truth: Integers) -> float:
    """Return the mean of −ln p of the right classes (N,), in nats, from the probabilities (N, K)."""
    right = np.take_along_axis(probabilities, truth[:, np.newaxis], axis=1)[:, 0]  # (N,)
    logs = np.log(np.maximum(right, np.finfo(right.dtype).tiny), dtype=np.float64)  # (N,)
    return max(0.0, -float(logs.mean()))  # a probability may exceed 1 by rounding, and 0 has no sign


def _top_k(truth: Integers, probabilities: Floats) -> Iterator[TopK]:
    """Yield the top-k accuracies; of equal probabilities the first class counts as the more probable one."""
    N, K = probabilities.shape
    of_truth = np.take_along_axis(probabilities, truth[:, np.newaxis], axis=1)  # (N, 1)
    before = np.arange(K) < truth[:, np.newaxis]  # (N, K)
    rank = ((probabilities > of_truth) | ((probabilities == of_truth) & before)).sum(axis=1)  # (N,), from 0
    for k in TOP:
        if k < K:
            right = int((rank < k).sum())
            yield TopK(k, right / N, of_fraction(right, N))


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
        ShapeError: a wrong shape or dtype.
        DataError: there is no example, or a value is invalid.
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


def _by_length(lengths: Integers, right: NDArray[np.bool_]) -> Iterator[LengthBin]:
    for indices in by_length(lengths):
        n, correct = len(indices), int(right[indices].sum())
        yield LengthBin(int(lengths[indices[0]]), int(lengths[indices[-1]]), n, correct / n, wilson(correct, n))


def plain(value: Any) -> Any:
    """Return a value with all tuples in it as lists, as JSON has them."""
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
    for top in result.top_k:
        low, high = top.accuracy_interval
        yield f"top-{top.k}     {percent(top.accuracy):>5} %  ({percent(low)} to {percent(high)})"
    majority = shorten(safe(result.majority_label), 34)
    yield f"majority  {percent(result.majority_accuracy):>5} %  most frequent in training: {majority}"
    yield f"loss      {result.loss_nats:>5.3f} nats an example; Brier score {result.brier:.3f}"
    yield from calibration_lines(result.calibration)
    yield "In brackets: 95 % intervals, bootstrap over the examples"


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
