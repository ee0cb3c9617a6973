"""Metrics of a tagger on held-out sentences, as `unrolled evaluate` prints them for the task tag.

They are functions of class indices and probabilities of words, not of a model. Accuracy is the fraction of words with
the right tag, over all words and over those not in the training split; precision, recall and F1 of a tag, and
macro-F1, are those of the task classify. Where the tags are a scheme such as BIO, the spans have metrics of their own
(see `spans.py`). The calibration of the probabilities is defined in `calibration.py`. The intervals resample sentences,
since errors within a sentence are not independent.

The baseline uses no context: it gives each word its most frequent tag in training, and an unseen word the most frequent
tag of all.
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
from unrolled.evaluation.calibration import Calibration, calibrate, calibration_lines
from unrolled.evaluation.classes import ClassScores, class_scores, class_table, mean_f1
from unrolled.evaluation.classification import check_answers, loss_of, plain
from unrolled.evaluation.intervals import Interval, bootstrap
from unrolled.evaluation.reliability import reliability
from unrolled.evaluation.spans import SpanScores, score_spans, span_lines

__all__ = ["TaggingResult", "evaluate_tagging"]


@dataclass(frozen=True, repr=False)
class TaggingResult(Displayed):
    """Metrics of a tagger on one test split, as fractions from 0 to 1; intervals cover 95 %.

    `unseen` counts the words that are not in the training split; without any, their metrics are None.
    `whole_sentences` is the fraction of sentences without an error. The module's docstring defines the baseline.
    `spans` is None where the tags do not stand for spans.
    """

    sentences: int
    words: int
    unseen: int
    accuracy: float
    accuracy_interval: Interval
    macro_f1: float
    macro_f1_interval: Interval
    unseen_accuracy: float | None
    unseen_interval: Interval | None
    whole_sentences: float
    loss_nats: float
    calibration: Calibration
    baseline_accuracy: float
    baseline_unseen_accuracy: float | None
    tags: tuple[ClassScores, ...]
    spans: SpanScores | None

    def to_dict(self) -> dict[str, Any]:
        """Return every figure under its field's name, ready for JSON; an interval is a list of low and high."""
        figures: dict[str, Any] = plain(asdict(self))
        return figures

    def picture(self, title: str = "Reliability of the answers") -> str:
        """Return the reliability diagram of the answers as SVG; see `reliability.py`."""
        return reliability(self.calibration, title=title, unit="words")

    def _display(self) -> dict[str, object]:
        figures = super()._display()
        return figures | {"unseen_accuracy_interval": figures.pop("unseen_interval")}

    def text(self) -> str:
        """Return the figures as plain text tables, at most 80 columns wide, for a terminal."""
        spans = ["", *span_lines(self.spans)] if self.spans else []
        return "\n".join([*_summary(self), *spans, "", *class_table(self.tags, "tag", "words")]) + "\n"


def evaluate_tagging(
    labels: Sequence[str],
    truth: ArrayLike,
    probabilities: ArrayLike,
    lengths: ArrayLike,
    *,
    seen: ArrayLike,
    baseline: ArrayLike,
    temperature: float = 1.0,
) -> TaggingResult:
    """Return the metrics of a tagger's answers.

    Args:
        labels: the K tags, in the order of their indices.
        truth: (W,) integers, the right tag of each word.
        probabilities: (W, K) floats, the tagger's probability of each tag; each word's sum to 1.
        lengths: (N,) integers above 0, the words of each sentence, W in all.
        seen: (W,) bool, whether the training split has the word.
        baseline: (W,) integers, the baseline's answers.
        temperature: temperature of the run; the probabilities are those at temperature 1, and are scaled here.

    Raises:
        ShapeError: an argument has the wrong shape or dtype; the message names it.
        DataError: there is no word, or a value is invalid.
    """
    truth, probabilities, lengths = np.asarray(truth), np.asarray(probabilities), np.asarray(lengths)
    seen, baseline = np.asarray(seen), np.asarray(baseline)
    check_answers(len(labels), truth, probabilities)
    W = len(truth)
    for name, values, kinds in (("seen", seen, "b"), ("baseline", baseline, "iu")):
        if values.shape != (W,) or values.dtype.kind not in kinds:
            dtype = "booleans" if kinds == "b" else "integers"
            raise ShapeError(f"{name} must be (W={W},) {dtype}, as truth: got {values.dtype} of shape {values.shape}")
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or lengths.min() < 1 or lengths.sum() != W:
        raise DataError(f"lengths must be integers above 0 that sum to the {W} words: got {lengths.tolist()[:10]} …")
    starts = np.cumsum(lengths) - lengths  # (N,)
    answers = probabilities.argmax(axis=1)  # (W,)
    right = answers == truth  # (W,)
    in_sentence = np.add.reduceat(right, starts, dtype=np.int64)  # (N,)
    unseen = np.add.reduceat(~seen, starts, dtype=np.int64)  # (N,)
    unseen_right = np.add.reduceat(right & ~seen, starts, dtype=np.int64)  # (N,)
    any_unseen = bool(unseen.any())
    by_sentence = _class_counts(truth, answers, lengths, len(labels))
    return TaggingResult(
        sentences=len(lengths),
        words=W,
        unseen=int(unseen.sum()),
        accuracy=float(right.mean()),
        accuracy_interval=_interval(in_sentence, lengths),
        macro_f1=float(mean_f1(*by_sentence.sum(axis=1, keepdims=True))[0]),
        macro_f1_interval=bootstrap(
            np.ones(len(lengths), np.int64), lambda drawn: mean_f1(*(drawn.astype(float) @ by_sentence.astype(float)))
        ),
        unseen_accuracy=float(right[~seen].mean()) if any_unseen else None,
        unseen_interval=_interval(unseen_right, unseen) if any_unseen else None,
        whole_sentences=float((in_sentence == lengths).mean()),
        loss_nats=loss_of(scaled(probabilities, temperature), truth),
        calibration=calibrate(truth, probabilities, temperature),
        baseline_accuracy=float((baseline == truth).mean()),
        baseline_unseen_accuracy=float((baseline == truth)[~seen].mean()) if any_unseen else None,
        tags=class_scores(labels, truth, answers),
        spans=score_spans(labels, truth, answers, lengths),
    )


def _class_counts(
    truth: NDArray[np.int64], answers: NDArray[np.int64], lengths: NDArray[np.int64], K: int
) -> NDArray[np.int64]:
    """Return in how many words of each sentence a class is both truth and answer, and in how many of either, (2, N, K).

    Args:
        truth, answers: class indices (W,).
        lengths: (N,) words of each sentence.
        K: number of classes.
    """
    N = len(lengths)
    first = np.repeat(np.arange(N), lengths) * K  # (W,), index of class 0 in the sentence of each word

    def counted(cells: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.bincount(cells, minlength=N * K).reshape(N, K)

    right = truth == answers
    return np.stack([counted((first + truth)[right]), counted(first + truth) + counted(first + answers)])


def _interval(right: NDArray[np.int64], words: NDArray[np.int64]) -> Interval:
    """Return the interval of Σ right / Σ words, (N,) each, over the sentences; a resample without words counts as 0."""
    return bootstrap(np.ones(len(words), dtype=np.int64), lambda drawn: (drawn @ right) / np.maximum(drawn @ words, 1))


def _summary(result: TaggingResult) -> Iterator[str]:
    yield f"{result.sentences:,} sentences, {result.words:,} words, {result.unseen:,} of them not seen in training"
    yield ""
    low, high = result.accuracy_interval
    yield f"accuracy          {result.accuracy:>6.1%}  ({low:.1%} to {high:.1%})"
    if result.unseen_accuracy is not None and result.unseen_interval is not None:
        low, high = result.unseen_interval
        yield f"  unseen words    {result.unseen_accuracy:>6.1%}  ({low:.1%} to {high:.1%})"
    low, high = result.macro_f1_interval
    yield f"macro-F1 of tags  {result.macro_f1:>6.1%}  ({low:.1%} to {high:.1%})"
    yield f"whole sentences   {result.whole_sentences:>6.1%}"
    yield f"most frequent tag {result.baseline_accuracy:>6.1%}  of each word in training"
    if result.baseline_unseen_accuracy is not None:
        yield f"  unseen words    {result.baseline_unseen_accuracy:>6.1%}  the most frequent tag of all"
    yield f"loss              {result.loss_nats:>6.3f}  nats a word"
    yield from calibration_lines(result.calibration)
    yield "In brackets: 95 % intervals, bootstrap over the sentences"
