"""How good a classifier is on held-out examples: what `unrolled evaluate` shows for the task classify.

Numbers in, numbers out: class indices and probabilities, no model. With C the confusion matrix (rows the truth,
columns the answer, the most probable class; of equals the first), and k a class:

    accuracy    = Σ_k C[k, k] / N
    precision_k = C[k, k] / Σ_i C[i, k]                            of the answers k, how many were right
    recall_k    = C[k, k] / Σ_j C[k, j]                            of the examples of k, how many were found
    f1_k        = 2 C[k, k] / (Σ_i C[i, k] + Σ_j C[k, j])          their harmonic mean
    macro_f1    = mean of f1_k over the classes that occur, as truth or as answer
    loss_nats   = −mean log p(truth)

Where a denominator is 0 (a class never answered, or absent from the test split) the figure is 0. Both choices are those
of scikit-learn (`zero_division=0`, `f1_score(average="macro")`), so that figures can be laid beside others'.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unrolled.errors import DataError, ShapeError
from unrolled.evaluation.intervals import Interval, bootstrap, wilson
from unrolled.evaluation.lengths import by_length
from unrolled.evaluation.tables import WIDTH, count, cut, percent, plural, safe, table, width

__all__ = [
    "ClassScores",
    "ClassificationResult",
    "LengthBin",
    "class_table",
    "classification_text",
    "evaluate_classification",
    "macro_f1",
]

MOST_CLASSES = 40
"""Rows of the table of classes."""
MOST_CONFUSIONS = 12
"""Rows of the list that replaces a confusion matrix too wide for the terminal."""
NARROWEST_LABEL = 20
"""Columns kept for a label before a matrix counts as too wide."""

Integers = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class ClassScores:
    """One class: how well it is found, as shares of 1, and how many examples it has (`support`)."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class LengthBin:
    """The examples of `shortest` to `longest` tokens, both included: how many, and the share answered rightly."""

    shortest: int
    longest: int
    n: int
    accuracy: float
    accuracy_interval: Interval


@dataclass(frozen=True)
class ClassificationResult:
    """Every figure of a classifier on one test split. Shares are of 1, intervals cover 95 %.

    `majority_accuracy` is what always answering the training split's most frequent class would reach here.
    `confusion` is (K, K): rows the truth, columns the answer, in the order of `classes`.
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


def evaluate_classification(
    labels: Sequence[str], truth: ArrayLike, probabilities: ArrayLike, lengths: ArrayLike, *, majority: int
) -> ClassificationResult:
    """Measure a classifier's answers.

    Args:
        labels: the K class names, in the order of their indices.
        truth: (N,) integers, the right class of each example.
        probabilities: (N, K) floats, what the classifier gave each class; each example's sum to 1. A probability of
            0 for the truth counts as the smallest normal number of its dtype (87 nats in float32), so that the loss
            stays a number.
        lengths: (N,) integers, the tokens of each example.
        majority: index of the training split's most frequent class.

    Raises:
        ShapeError: an argument has the wrong shape or dtype; the message names it.
        DataError: there is no example, or a value that cannot be: a class outside of `labels`, a negative length,
            probabilities that do not sum to 1.
    """
    truth, probabilities, lengths = np.asarray(truth), np.asarray(probabilities), np.asarray(lengths)
    _check(len(labels), truth, probabilities, lengths, majority)
    N, K = probabilities.shape
    answers = probabilities.argmax(axis=1)  # (N,)
    right = answers == truth  # (N,)
    confusion = np.bincount(truth.astype(np.int64) * K + answers, minlength=K * K).reshape(K, K)
    correct = int(confusion.trace())

    # Accuracy and macro-F1 see the examples only through the confusion matrix, so resampling its cells is enough;
    # a cell that is empty stays so in every resample.
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
    """Return the mean nats of the right classes (N,), given the probabilities (N, K)."""
    given = np.take_along_axis(probabilities, truth[:, np.newaxis], axis=1)[:, 0]  # (N,)
    logs = np.log(np.maximum(given, np.finfo(given.dtype).tiny), dtype=np.float64)  # (N,)
    return max(0.0, -float(logs.mean()))  # a probability may exceed 1 by rounding, and 0 has no sign


def macro_f1(counts: Integers, truth: Integers, answer: Integers) -> Floats:
    """Return the macro-F1 of R confusion matrices that are given by their cells: counts (R, M) -> (R,).

    Cell m holds the examples of class `truth[m]` that were answered `answer[m]`; both are (M,). The mean is over the
    classes that occur in the matrix at hand, so a resample that lost its only example of a class is scored without it.
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
    """Refuse what cannot be measured; one sentence each."""
    check_answers(K, truth, probabilities)
    if lengths.shape != truth.shape:
        raise ShapeError(f"lengths must have shape (N={len(truth)},), as probabilities has rows: got {lengths.shape}")
    if lengths.dtype.kind not in "iu":
        raise ShapeError(f"lengths must be integers: got {lengths.dtype}")
    if not 0 <= majority < K:
        raise DataError(f"majority must be a class index from 0 to {K - 1}: got {majority}")
    if lengths.min() < 0:
        raise DataError(f"lengths must not be negative: got {lengths.min()}")


def check_answers(K: int, truth: Integers, probabilities: Floats) -> None:
    """Refuse right classes (N,) and probabilities (N, K) that cannot be; one sentence each.

    Raises:
        ShapeError: a wrong shape or dtype. DataError: there is no example, or a value that cannot be.
    """
    if probabilities.ndim != 2 or probabilities.shape[1] != K or K == 0:
        raise ShapeError(
            f"probabilities must have shape (N, K={K}), one column for each of {K} labels: got {probabilities.shape}"
        )
    N = len(probabilities)
    if truth.shape != (N,):
        raise ShapeError(f"truth must have shape (N={N},), as probabilities has rows: got {truth.shape}")
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


def _ratio(part: Integers, whole: Integers) -> list[float]:
    """Return part / whole, and 0 where whole is 0."""
    ratio: list[float] = (part / np.maximum(whole, 1)).tolist()
    return ratio


def _by_length(lengths: Integers, right: NDArray[np.bool_]) -> Iterator[LengthBin]:
    for rows in by_length(lengths):
        n, found = len(rows), int(right[rows].sum())
        yield LengthBin(int(lengths[rows[0]]), int(lengths[rows[-1]]), n, found / n, wilson(found, n))


def plain(value: Any) -> Any:
    """Return `value` with tuples as lists, as JSON has them."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value


def classification_text(result: ClassificationResult) -> str:
    """Return the summary, the classes, the confusion matrix and the accuracy by length, as lines of at most 80."""
    blocks = [_summary(result), class_table(result.classes, "class", "examples"), _confusion(result)]
    if len(result.by_length) > 1:
        blocks.append(_length_table(result))
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _summary(result: ClassificationResult) -> Iterator[str]:
    yield f"{count(result.n, 'example', 'examples')}, {count(len(result.classes), 'class', 'classes')}"
    yield ""
    for name, share, (low, high) in (
        ("accuracy", result.accuracy, result.accuracy_interval),
        ("macro-F1", result.macro_f1, result.macro_f1_interval),
    ):
        yield f"{name}  {percent(share):>5} %  ({percent(low)} to {percent(high)})"
    majority = cut(safe(result.majority_label), 34)
    yield f"majority  {percent(result.majority_accuracy):>5} %  most frequent in training: {majority}"
    yield f"loss      {result.loss_nats:>5.3f} nats an example"
    yield "In brackets: 95 % intervals, bootstrap over the examples"


def class_table(classes: Sequence[ClassScores], what: str, units: str) -> Iterator[str]:
    """Yield a table of the classes, each a `what` of so many `units`, as lines of at most 80."""
    shown = tuple(classes)
    if len(shown) > MOST_CLASSES:
        shown = tuple(sorted(shown, key=lambda scores: -scores.support)[:MOST_CLASSES])
    head = [what, "precision", "recall", "F1", units]
    yield from table(
        [head, *([safe(s.label), *map(percent, (s.precision, s.recall, s.f1)), f"{s.support:,}"] for s in shown)]
    )
    if len(shown) < len(classes):
        yield f"… and {len(classes) - len(shown):,} {plural(what)} with fewer {units}"
    if absent := sum(scores.support == 0 for scores in classes):
        named = count(absent, f"{what} has", f"{plural(what)} have")
        yield f"{named} no {units.removesuffix('s')} here: what is undefined is shown as 0.0"


def _confusion(result: ClassificationResult) -> Iterator[str]:
    """The matrix with labels over its columns, else with numbers, else the most frequent confusions."""
    labels = [safe(scores.label) for scores in result.classes]
    digits = len(str(len(labels) - 1))
    numbered = [f"{index:>{digits}} {label}" for index, label in enumerate(labels)]
    counts = [[f"{n:,}" for n in row] for row in result.confusion]
    cells = [max(map(len, column)) for column in zip(*counts, strict=True)]
    for rows, columns in ((labels, labels), (numbered, list(map(str, range(len(labels)))))):
        needed = sum(2 + max(cell, width(head)) for cell, head in zip(cells, columns, strict=True))
        if needed + min(NARROWEST_LABEL, max(map(width, rows))) <= WIDTH:
            yield "Confusion matrix: rows are the truth, columns the answer"
            yield from table([["", *columns], *([row, *line] for row, line in zip(rows, counts, strict=True))])
            return
    wrong = [(n, i, j) for i, row in enumerate(result.confusion) for j, n in enumerate(row) if n and i != j]
    wrong.sort(key=lambda confusion: -confusion[0])
    yield f"The most frequent of {len(wrong):,} confusions (the matrix is too wide to show here)"
    lines = [
        [f"{cut(labels[i], 27)} → {cut(labels[j], 27)}", f"{n:,}", percent(n / result.classes[i].support)]
        for n, i, j in wrong[:MOST_CONFUSIONS]
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
