"""Baselines: what a simpler method reaches on the same examples, in seconds.

A classifier of texts stands next to a linear classifier of word and character n-grams, one of images next to a linear
classifier of pixels. Both are scikit-learn's, learned from the training split; what there is to choose is chosen on the
validation split. A tagger stands next to the most frequent tag of each word.

Two methods answer the same N examples, so their difference is estimated in pairs: an example counts +1 if only the
network is right, −1 if only the baseline is, and 0 otherwise.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from unrolled.evaluation.classification import plain
from unrolled.evaluation.intervals import Interval, bootstrap, resample, spread, wilson

__all__ = ["Baseline", "compare", "linear_pixels", "linear_texts"]

MOST_WORK = 400_000  # training examples times classes, so that a baseline takes seconds
MOST_EXAMPLES, LEAST_EXAMPLES = 20_000, 2_000
MOST_IMAGES = 5_000
PENALTIES = (0.1, 1.0)  # C of the linear classifier

Integers = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A baseline next to a network, on n test examples; intervals cover 95 %.

    Args:
        name: the method, in words.
        n: number of examples.
        seconds: seconds of learning and answering.
        accuracy, accuracy_interval: accuracy of the baseline, and its interval.
        difference, difference_interval: accuracy of the network minus that of the baseline.
    """

    name: str
    n: int
    seconds: float
    accuracy: float
    accuracy_interval: Interval
    difference: float
    difference_interval: Interval

    @property
    def is_beaten(self) -> bool:
        """True if the network is shown to be better: the whole interval of the difference is above 0."""
        return self.difference_interval[0] > 0

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        values: dict[str, Any] = plain(asdict(self))
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the baseline of the values that `to_dict` returned."""
        intervals = {name: Interval(*value) for name, value in values.items() if name.endswith("_interval")}
        return cls(**{**values, **intervals})

    def text(self) -> str:
        """Return a line on the baseline, and a sentence where the network is not shown to be better."""
        low, high = self.accuracy_interval
        line = f"baseline          {self.accuracy:>6.1%}  ({low:.1%} to {high:.1%})  {self.name}, {self.seconds:.1f} s"
        if self.is_beaten:
            return line
        low, high = (100 * bound for bound in self.difference_interval)
        return (
            f"{line}\nThe network is not shown to be better than this baseline: the difference is "
            f"{100 * self.difference:+.1f} points\n(95 % interval {low:+.1f} to {high:+.1f})."
        )


def compare(name: str, network: Bools, baseline: Bools, seconds: float, *, lengths: Integers | None = None) -> Baseline:
    """Return a baseline next to a network.

    Args:
        name: name of the baseline.
        network, baseline: (N,), whether each is right.
        seconds: seconds that the baseline took.
        lengths: lengths of the groups of examples that are drawn together, as the words of sentences are; they sum to
            N.
    """
    n, only = len(network), network.astype(np.int64) - baseline
    if lengths is None:
        right = int(baseline.sum())
        interval = wilson(right, n)
        counts = [int((only == k).sum()) for k in (1, 0, -1)]
        difference = bootstrap(counts, lambda drawn: (drawn[:, 0] - drawn[:, 2]) / n)
    else:
        starts = np.cumsum(lengths) - lengths
        sums = np.stack([np.add.reduceat(each, starts) for each in (baseline.astype(np.int64), only)], axis=1)
        drawn = resample(np.column_stack([sums, lengths]))  # (R, 3)
        interval, difference = spread(drawn[:, 0] / drawn[:, 2]), spread(drawn[:, 1] / drawn[:, 2])
    return Baseline(
        name=name,
        n=n,
        seconds=seconds,
        accuracy=float(baseline.mean()),
        accuracy_interval=interval,
        difference=float(only.mean()),
        difference_interval=difference,
    )


def linear_texts(
    train: tuple[Sequence[str], Integers], valid: tuple[Sequence[str], Integers], test: Sequence[str]
) -> tuple[str, Integers, float]:
    """Learn a linear classifier of tf-idf weighted n-grams; return its name, its answers (N,) and the seconds.

    Words and pairs of words, or groups of one to five characters within words; which of them, and the penalty, is
    chosen by accuracy on the validation split. Of a large training split a part is used.

    Args:
        train, valid: texts and their classes.
        test: N texts.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    began = time.perf_counter()
    texts, classes = train
    kept = _part(len(texts), len(np.unique(classes)))
    texts, classes = [texts[i] for i in kept], classes[kept]
    kinds = {
        "words and pairs of words": {"ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b"},
        "groups of characters": {"analyzer": "char_wb", "ngram_range": (1, 5)},
    }

    best, name, answers = -1.0, "most frequent label", np.full(len(test), np.bincount(classes).argmax())
    for kind, options in kinds.items():
        vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=1 if len(texts) < LEAST_EXAMPLES else 2, **options)
        try:
            x, x_valid = vectorizer.fit_transform(texts), vectorizer.transform(valid[0])
        except ValueError:  # no text has such a group often enough
            continue
        for C in PENALTIES:
            with warnings.catch_warnings(action="ignore"):  # that it has not converged; the score decides
                model = LinearSVC(C=C, random_state=0).fit(x, classes)
            if (score := model.score(x_valid, valid[1])) > best:
                best, name = score, f"linear classifier of {kind}"
                answers = model.predict(vectorizer.transform(test))
    part = "" if len(kept) == len(train[0]) else f", learned from {len(kept):,} examples"
    return name + part, answers, time.perf_counter() - began


def linear_pixels(
    train: tuple[NDArray[np.generic], Integers], test: NDArray[np.generic]
) -> tuple[str, Integers, float]:
    """Learn a linear classifier of pixels; return its name, its answers (N,) and the seconds.

    Args:
        train: images (M, …) and their classes (M,); a part of them is used where they are many.
        test: images (N, …).
    """
    from sklearn.linear_model import LogisticRegression

    began = time.perf_counter()
    images, classes = train
    kept = _part(min(len(images), MOST_IMAGES), len(np.unique(classes)), of=len(images))
    x = images[kept].reshape(len(kept), -1).astype(np.float32)
    mean, scale = x.mean(), max(float(x.std()), 1e-6)
    with warnings.catch_warnings(action="ignore"):  # that it has not converged in so many steps
        model = LogisticRegression(C=0.01, max_iter=100).fit((x - mean) / scale, classes[kept])
        answers = model.predict((test.reshape(len(test), -1).astype(np.float32) - mean) / scale)
    part = "" if len(kept) == len(images) else f", learned from {len(kept):,} images"
    return f"linear classifier of pixels{part}", answers, time.perf_counter() - began


def _part(examples: int, num_classes: int, *, of: int | None = None) -> Integers:
    """Return the ascending indices of the examples to learn from: all, or a random part."""
    most = min(MOST_EXAMPLES, max(LEAST_EXAMPLES, MOST_WORK // max(num_classes, 1)), examples)
    total = examples if of is None else of
    kept = np.arange(total) if most >= total else np.random.default_rng(0).choice(total, most, replace=False)
    return np.sort(kept)
