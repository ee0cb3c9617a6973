"""Baselines: what a simpler method reaches on the same examples, in seconds.

A classifier of texts stands next to a linear classifier of word and character n-grams, one of images next to a linear
classifier of pixels. Both are scikit-learn's, learned from the training split; what there is to choose is chosen on the
validation split. A tagger stands next to the most frequent tag of each word. A comparison has more of them, for every
task: see `Task.baselines`.

Two methods answer the same N examples, so their difference is estimated in pairs: an example counts +1 if only the
network is right, −1 if only the baseline is, and 0 otherwise.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from unrolled.evaluation.by_example import ByExample
from unrolled.evaluation.classification import plain
from unrolled.evaluation.intervals import Interval, bootstrap, resample, spread, wilson

__all__ = [
    "Baseline",
    "BaselineScores",
    "compare",
    "linear_label_sets",
    "linear_numbers",
    "linear_pixels",
    "linear_texts",
    "timed",
]

MOST_WORK = 400_000  # training examples times classes, so that a baseline takes seconds
MOST_EXAMPLES, LEAST_EXAMPLES = 20_000, 2_000
MOST_IMAGES = 5_000
AT_ONCE = 20_000  # texts that are answered together
PENALTIES = (0.1, 1.0)  # C of the linear classifier
RIDGES = (0.1, 1.0, 10.0)  # alpha of the ridge regression, of numbers with a standard deviation of 1

Integers = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
T = TypeVar("T", bound=np.generic)


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


class BaselineScores(NamedTuple):
    """The score of each test example of a baseline, which was learned from the training split alone.

    Where there is something to choose, such as a penalty, it was chosen on the validation split.
    """

    name: str  # the method, in words
    scores: ByExample
    seconds: float  # of learning and answering


def timed(name: str, scores: Callable[[], ByExample]) -> BaselineScores:
    """Return the scores of a baseline that needs no time to speak of, with the seconds of making them."""
    began = time.perf_counter()
    return BaselineScores(name, scores(), time.perf_counter() - began)


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
    chosen by accuracy on the validation split. Of a large training or validation split a part is used.

    Args:
        train, valid: texts and their classes.
        test: N texts.
    """
    from sklearn.svm import LinearSVC

    began = time.perf_counter()
    kept = _part(len(train[0]), len(np.unique(train[1])))
    texts, classes = _chosen(train, kept)
    part = texts, classes.astype(np.int64)
    models = [LinearSVC(C=C, random_state=0) for C in PENALTIES]
    best = _best_of_ngrams(part, valid, test, models, _accuracy)
    name, answers = "most frequent label", np.full(len(test), np.bincount(part[1]).argmax())
    if best is not None:
        name, answers = f"linear classifier of {best[0]}", best[1]
    return name + _learned_from(kept, train, valid), answers, time.perf_counter() - began


def linear_label_sets(
    train: tuple[Sequence[str], Bools], valid: tuple[Sequence[str], Bools], test: Sequence[str]
) -> tuple[str, Bools, float]:
    """Learn a linear classifier of n-grams for each label; return its name, its answers (N, K) and the seconds.

    As `linear_texts`, chosen by subset accuracy.

    Args:
        train, valid: texts, and whether each has each of K labels.
        test: N texts.
    """
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.svm import LinearSVC

    began = time.perf_counter()
    kept = _part(len(train[0]), train[1].shape[1])
    part = _chosen(train, kept)
    models = [OneVsRestClassifier(LinearSVC(C=C, random_state=0)) for C in PENALTIES]
    best = _best_of_ngrams((part[0], part[1].astype(np.int64)), valid, test, models, _accuracy)
    name, answers = "no label", np.zeros((len(test), train[1].shape[1]), dtype=bool)
    if best is not None:
        name, answers = f"linear classifier of {best[0]} for each label", best[1].astype(bool)
    return name + _learned_from(kept, train, valid), answers, time.perf_counter() - began


def linear_numbers(
    train: tuple[Sequence[str], Floats], valid: tuple[Sequence[str], Floats], test: Sequence[str]
) -> tuple[str, Floats, float]:
    """Learn a ridge regression of n-grams; return its name, the predicted numbers (N,) and the seconds.

    As `linear_texts`, chosen by mean absolute error.

    Args:
        train, valid: texts and their numbers.
        test: N texts.
    """
    from sklearn.linear_model import Ridge

    began = time.perf_counter()
    kept = _part(len(train[0]), 1)
    part = _chosen(train, kept)
    center, scale = part[1].mean(), max(float(part[1].std()), np.finfo(np.float64).tiny)
    scaled = [(texts, (numbers - center) / scale) for texts, numbers in (part, valid)]
    models = [Ridge(alpha=alpha) for alpha in RIDGES]
    best = _best_of_ngrams(scaled[0], scaled[1], test, models, lambda a, b: -float(np.abs(a - b).mean()))
    name, numbers = "mean of the training split", np.full(len(test), center)
    if best is not None:
        name, numbers = f"ridge regression of {best[0]}", center + scale * best[1]
    return name + _learned_from(kept, train, valid), numbers, time.perf_counter() - began


def _best_of_ngrams(
    train: tuple[Sequence[str], NDArray[Any]],
    valid: tuple[Sequence[str], NDArray[Any]],
    test: Sequence[str],
    models: Sequence[Any],
    score: Callable[[NDArray[Any], NDArray[Any]], float],
) -> tuple[str, NDArray[Any]] | None:
    """Return the n-grams and the answers of the model that is best on the validation split; None without n-grams.

    Args:
        train, valid: texts and their targets.
        test: N texts.
        models: models of scikit-learn, each of which is fitted to each kind of n-grams.
        score: (answers, targets) -> a number, greater is better; of equally good ones the first is taken.
    """
    from sklearn.base import clone
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts, targets = train
    valid = _chosen(valid, _random_part(MOST_EXAMPLES, len(valid[0])))
    kinds = {
        "words and pairs of words": {"ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b"},
        "groups of characters": {"analyzer": "char_wb", "ngram_range": (1, 5)},
    }
    best, found = -np.inf, None
    for kind, options in kinds.items():
        vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=1 if len(texts) < LEAST_EXAMPLES else 2, **options)
        try:
            x, x_valid = vectorizer.fit_transform(texts), vectorizer.transform(valid[0])
        except ValueError:  # no text has such a group often enough
            continue
        for model in models:
            with warnings.catch_warnings(action="ignore"):  # that it has not converged; the score decides
                fitted = clone(model).fit(x, targets)
            if (reached := score(fitted.predict(x_valid), valid[1])) > best:
                best, found = reached, (kind, vectorizer, fitted)
    if found is None:
        return None
    kind, vectorizer, fitted = found
    parts = (test[start : start + AT_ONCE] for start in range(0, len(test), AT_ONCE))
    return kind, np.concatenate([fitted.predict(vectorizer.transform(part)) for part in parts])


def _accuracy(answers: NDArray[Any], truth: NDArray[Any]) -> float:
    """Return the fraction of right answers, (N,) or (N, K): all of an example's K."""
    return float((answers == truth).reshape(len(truth), -1).all(axis=1).mean())


def _chosen(train: tuple[Sequence[str], NDArray[T]], kept: Integers) -> tuple[list[str], NDArray[T]]:
    """Return the examples with these indices."""
    return [train[0][i] for i in kept], train[1][kept]


def _learned_from(kept: Integers, train: tuple[Sequence[str], Any], valid: tuple[Sequence[str], Any]) -> str:
    """Return the numbers of examples, where they are not all."""
    learned = "" if len(kept) == len(train[0]) else f", learned from {len(kept):,} examples"
    return learned + ("" if len(valid[0]) <= MOST_EXAMPLES else f", chosen on {MOST_EXAMPLES:,}")


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
    return _random_part(most, examples if of is None else of)


def _random_part(most: int, total: int) -> Integers:
    """Return the ascending indices of a random part of examples, of all if they are not too many."""
    kept = np.arange(total) if most >= total else np.random.default_rng(0).choice(total, most, replace=False)
    return np.sort(kept)
