"""Metrics of spans (names, chunks), where the tags of a tagger are a scheme such as BIO or IOBES.

A span is right where its type and its first and last word are. With Σ over the sentences:

    precision = Σ right / Σ answered,   recall = Σ right / Σ true,   F1 = 2 Σ right / (Σ answered + Σ true)

of all spans together (micro average), and of each type. They equal those of conlleval and of seqeval's default mode; a
metric whose denominator is 0 is 0. The intervals resample sentences.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unrolled.data.examples.spans import Scheme, Span, scheme_of, spans
from unrolled.evaluation.classes import ClassScores, class_table
from unrolled.evaluation.intervals import Interval, bootstrap
from unrolled.evaluation.tables import count

__all__ = ["SpanScores", "score_spans", "span_lines"]

Integers = NDArray[np.integer[Any]]
NO_TYPE = "(no type)"


@dataclass(frozen=True)
class SpanScores:
    """Metrics of spans, as fractions from 0 to 1.

    Args:
        spans: number of true spans.
        types: the metrics of each type.
    """

    scheme: Scheme
    spans: int
    precision: float
    recall: float
    f1: float
    f1_interval: Interval
    types: tuple[ClassScores, ...]


def score_spans(labels: Sequence[str], truth: Integers, answers: Integers, lengths: Integers) -> SpanScores | None:
    """Return the metrics of the spans of N sentences, or None where the labels are not tags of spans.

    Args:
        labels: the K tags.
        truth, answers: (W,) class indices of the words.
        lengths: (N,) words of each sentence.
    """
    scheme = scheme_of(labels)
    if scheme is None:
        return None
    counts = np.zeros((len(lengths), 3), np.int64)  # (N, right answered true)
    by_type = Counter[tuple[str, int]]()  # (type, index in the last axis of counts)
    start = 0
    for sentence, length in enumerate(lengths.tolist()):
        answered, true = (_spans(labels, tags[start : start + length], scheme) for tags in (answers, truth))
        for column, found in enumerate((answered & true, answered, true)):
            counts[sentence, column] = len(found)
            by_type.update((span.type, column) for span in found)
        start += length
    every = {kind: tuple(by_type[kind, column] for column in range(3)) for kind in sorted({k for k, _ in by_type})}
    total = counts.sum(axis=0).tolist()
    precision, recall, f1, support = _scores(*total)
    interval = bootstrap(np.ones(len(lengths), np.int64), lambda drawn: _f1(drawn @ counts))
    types = tuple(ClassScores(kind or NO_TYPE, *_scores(*three)) for kind, three in every.items())
    return SpanScores(scheme, support, precision, recall, f1, interval, types)


def span_lines(scores: SpanScores) -> Iterator[str]:
    """Yield the metrics as lines of at most 80 columns."""
    low, high = scores.f1_interval
    yield f"Spans ({scores.scheme}): {count(scores.spans, 'span', 'spans')}; right where type, start and end are"
    yield f"precision         {scores.precision:>6.1%}"
    yield f"recall            {scores.recall:>6.1%}"
    yield f"F1                {scores.f1:>6.1%}  ({low:.1%} to {high:.1%})"
    if scores.types:
        yield ""
        yield from class_table(scores.types, "type", "spans")


def _spans(labels: Sequence[str], tags: Integers, scheme: Scheme) -> set[Span]:
    return set(spans((labels[k] for k in tags.tolist()), scheme))


def _scores(right: int, answered: int, true: int) -> tuple[float, float, float, int]:
    """Return precision, recall, F1 and the number of true spans."""
    return right / max(answered, 1), right / max(true, 1), 2 * right / max(answered + true, 1), true


def _f1(sums: Integers) -> NDArray[np.float64]:
    """Return the F1 (R,) of R resamples with the sums (R, 3) of right, answered and true spans."""
    f1: NDArray[np.float64] = 2 * sums[:, 0] / np.maximum(sums[:, 1] + sums[:, 2], 1)
    return f1
