"""Metrics of several labels a text on held-out examples, as `unrolled evaluate` prints them.

With N texts and K labels, tp_k, fp_k and fn_k the texts for which label k is answered rightly, wrongly, or missed, and
tp_n, fp_n and fn_n the labels of text n:

    f1(tp, fp, fn)  = 2 tp / (2 tp + fp + fn)
    micro_f1        = f1(Σ tp_k, Σ fp_k, Σ fn_k)                 all decisions together: frequent labels count most
    macro_f1        = mean of f1(tp_k, fp_k, fn_k)               every label counts the same
    samples_f1      = mean of f1(tp_n, fp_n, fn_n)               every text counts the same
    subset_accuracy = fraction of the texts whose labels are all right, and no other is answered
    hamming_loss    = fraction of the N K decisions that are wrong
    mean_average_precision = mean of the average precision of the labels that occur: how well each label ranks the texts
    loss_nats       = mean over the texts of −Σ_k ln p(whether label k is there)

Precision and recall are averaged in the same three ways. Where a denominator is 0 the metric is 0. These choices are
those of scikit-learn (`zero_division=0`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unrolled.display import Displayed
from unrolled.errors import DataError, ShapeError
from unrolled.evaluation.classes import ClassScores, class_table
from unrolled.evaluation.classification import plain
from unrolled.evaluation.intervals import Interval, resample, spread
from unrolled.evaluation.tables import count, percent, safe, shorten, table

__all__ = ["THRESHOLD", "Averages", "MultiLabelResult", "evaluate_multi_label", "label_nats", "micro_f1"]

THRESHOLD = 0.5
"""Default probability from which a label is answered."""

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


class Averages(NamedTuple):
    """Precision, recall and F1, averaged in one way; fractions from 0 to 1."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, repr=False)
class MultiLabelResult(Displayed):
    """Metrics of several labels a text on one test split, as fractions from 0 to 1; intervals cover 95 %.

    `usual_labels` are those of the baseline, which answers the most frequent labels of the training split for every
    text: as many as a text has on average.
    """

    n: int
    threshold: float
    micro_precision: float
    micro_recall: float
    micro_f1: float
    micro_f1_interval: Interval
    macro_precision: float
    macro_recall: float
    macro_f1: float
    macro_f1_interval: Interval
    samples_precision: float
    samples_recall: float
    samples_f1: float
    samples_f1_interval: Interval
    subset_accuracy: float
    subset_accuracy_interval: Interval
    hamming_loss: float
    mean_average_precision: float | None
    loss_nats: float
    usual_labels: tuple[str, ...]
    usual_micro_f1: float
    usual_macro_f1: float
    usual_samples_f1: float
    usual_subset_accuracy: float
    labels: tuple[ClassScores, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return every figure under its field's name, ready for JSON; an interval is a list of low and high."""
        figures: dict[str, Any] = plain(asdict(self))
        return figures

    def text(self) -> str:
        """Return the figures as plain text tables, at most 80 columns wide, for a terminal."""
        return "\n".join([*_lines(self), "", *class_table(self.labels, "label", "texts")]) + "\n"


def evaluate_multi_label(
    labels: Sequence[str],
    truth: ArrayLike,
    probabilities: ArrayLike,
    *,
    usual: Sequence[str],
    threshold: float = THRESHOLD,
) -> MultiLabelResult:
    """Return the metrics of the answered labels.

    Args:
        labels: the K labels, in the order of their indices.
        truth: (N, K) booleans, whether a text has a label.
        probabilities: (N, K) floats, the probability of each label.
        usual: the labels that the baseline answers.
        threshold: probability from which a label is answered.

    Raises:
        ShapeError: an argument has the wrong shape.
        DataError: there is no example, or a probability is invalid.
    """
    truth, probabilities = np.asarray(truth, dtype=bool), np.asarray(probabilities, dtype=np.float64)
    if truth.ndim != 2 or truth.shape != probabilities.shape or truth.shape[1] != len(labels):
        raise ShapeError(
            f"truth and probabilities must be (N, K={len(labels)}): got {truth.shape} and {probabilities.shape}"
        )
    if not len(truth):
        raise DataError("there is no example to evaluate on", fix="pass a test split with at least one example")
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise DataError("a probability is not a number from 0 to 1", fix="pass probabilities")
    answers = probabilities >= threshold
    always = np.broadcast_to(np.isin(np.asarray(labels), np.asarray(usual)), truth.shape)
    micro, macro, samples = (average(truth, answers) for average in (_micro, _macro, _samples))
    figures: dict[str, Any] = {
        **{f"micro_{name}": value for name, value in micro._asdict().items()},
        **{f"macro_{name}": value for name, value in macro._asdict().items()},
        **{f"samples_{name}": value for name, value in samples._asdict().items()},
        **{f"{name}_interval": interval for name, interval in _intervals(truth, answers).items()},
    }
    return MultiLabelResult(
        n=len(truth),
        threshold=threshold,
        **figures,
        subset_accuracy=_subset_accuracy(truth, answers),
        hamming_loss=float((truth != answers).mean()),
        mean_average_precision=_mean_average_precision(truth, probabilities),
        loss_nats=float(label_nats(truth, probabilities).mean()),
        usual_labels=tuple(usual),
        usual_micro_f1=micro_f1(truth, always),
        usual_macro_f1=_macro(truth, always).f1,
        usual_samples_f1=_samples(truth, always).f1,
        usual_subset_accuracy=_subset_accuracy(truth, always),
        labels=tuple(_label_scores(labels, truth, answers)),
    )


def label_nats(truth: Bools, probabilities: Floats) -> Floats:
    """Return −Σ_k ln p of whether each of K labels is there, for each of N texts, (N,)."""
    right = np.where(truth, probabilities, 1 - probabilities)
    nats: Floats = -np.log(np.maximum(right, np.finfo(np.float64).tiny)).sum(axis=1)
    return nats


def micro_f1(truth: Bools, answers: Bools) -> float:
    """Return the F1 of all decisions together."""
    return _micro(truth, answers).f1


def _averages(hits: Floats, answered: Floats, support: Floats) -> Averages:
    """Return the means of precision, recall and F1, from the number of right, answered and true labels, (M,) each."""
    columns = _ratio(hits, answered), _ratio(hits, support), _ratio(2 * hits, answered + support)
    return Averages(*(float(column.mean()) for column in columns))


def _micro(truth: Bools, answers: Bools) -> Averages:
    return _averages(*(each.sum(keepdims=True).reshape(1).astype(float) for each in (truth & answers, answers, truth)))


def _macro(truth: Bools, answers: Bools) -> Averages:
    return _averages(*(each.sum(axis=0).astype(float) for each in (truth & answers, answers, truth)))


def _samples(truth: Bools, answers: Bools) -> Averages:
    return _averages(*(each.sum(axis=1).astype(float) for each in (truth & answers, answers, truth)))


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=whole > 0)


def _subset_accuracy(truth: Bools, answers: Bools) -> float:
    return float((truth == answers).all(axis=1).mean())


def _mean_average_precision(truth: Bools, probabilities: Floats) -> float | None:
    """Return the mean of the average precision of the labels that occur; None if none does."""
    from sklearn.metrics import average_precision_score  # takes a second to import

    occurs = truth.any(axis=0)
    if not occurs.any():
        return None
    return float(average_precision_score(truth[:, occurs], probabilities[:, occurs], average="macro"))


def _intervals(truth: Bools, answers: Bools) -> dict[str, Interval]:
    """Return the intervals of the metrics: all of them depend on the texts through sums over the texts."""
    N, K = truth.shape
    hits = (truth & answers).astype(float)
    total = truth.astype(float) + answers  # what is answered and what is true, in 2 tp / (answered + true)
    own = _ratio(2 * hits.sum(axis=1), total.sum(axis=1))[:, np.newaxis]
    right = (truth == answers).all(axis=1, keepdims=True)
    sums = resample(np.concatenate([hits, total, own, right], axis=1))  # (R, 2K + 2)
    hits, total = sums[:, :K], sums[:, K : 2 * K]
    return {
        "micro_f1": spread(_ratio(2 * hits.sum(axis=1), total.sum(axis=1))),
        "macro_f1": spread(_ratio(2 * hits, total).mean(axis=1)),
        "samples_f1": spread(sums[:, -2] / N),
        "subset_accuracy": spread(sums[:, -1] / N),
    }


def _label_scores(labels: Sequence[str], truth: Bools, answers: Bools) -> Iterator[ClassScores]:
    for k, name in enumerate(labels):
        one = (slice(None), slice(k, k + 1))
        yield ClassScores(name, *_micro(truth[one], answers[one]), support=int(truth[one].sum()))


def _lines(result: MultiLabelResult) -> Iterator[str]:
    yield f"{count(result.n, 'text', 'texts')}, {count(len(result.labels), 'label', 'labels')}"
    yield ""
    rows = [
        [
            name.replace("_", " ").replace("f1", "F1").replace(" F1", "-F1"),
            percent(getattr(result, name)),
            "({} to {})".format(*map(percent, getattr(result, f"{name}_interval"))),
            percent(getattr(result, f"usual_{name}")),
        ]
        for name in ("micro_f1", "macro_f1", "samples_f1", "subset_accuracy")
    ]
    yield from table([["%", "", "95 % interval", "baseline"], *rows])
    yield ""
    rows = [
        [name, *(percent(getattr(result, f"{name}_{figure}")) for figure in Averages._fields)]
        for name in ("micro", "macro", "samples")
    ]
    yield from table([["%", "precision", "recall", "F1"], *rows])
    yield ""
    yield f"wrong decisions (Hamming loss)  {percent(result.hamming_loss)} %"
    if result.mean_average_precision is not None:
        yield f"mean average precision          {percent(result.mean_average_precision)} %"
    yield f"loss                            {result.loss_nats:.3f} nats a text"
    yield f"A label is answered from a probability of {result.threshold:g}"
    usual = ", ".join(safe(label) for label in result.usual_labels)
    yield f"Baseline: always the most frequent labels, {shorten(usual, 37)}"
