"""Score of each test example, of a run or a baseline, for paired comparisons and tables of single examples.

The scores of the N examples are scaled so that their plain mean is the figure of the task:

    task                   figure              example   score                                            best
    classify               accuracy            example   1 if the answer is right, else 0                 1
    classify, multi-label  subset_accuracy     example   1 if all labels are right, else 0                1
    regress                absolute_error      example   |y − ŷ|, whose mean is `mae`                     0
    tag                    accuracy            sentence  right words · N / W, for W words in all          high
    translate              mean_chrf           source    chrF of the answer, 0 to 100                     100
    generate               bits_per_character  block     nats of the block · N / (C ln 2), C characters   low

`mean_chrf` is the mean of sacrebleu's chrF of single answers, each compared with the nearest of its references. It is
not the `chrf` of a result, which counts the n-grams of all answers together. A block is BLOCK consecutive tokens; the
last one may be shorter.

The difference of two models, from the runs of each in the order of their seeds:

    first, second = (np.stack([run.by_example().scores for run in runs]) for runs in (grus, transformers))
    paired_difference(first, second)  # see `unrolled.evaluation.difference`
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unrolled import atomic
from unrolled.errors import CheckpointError, DataError, ShapeError, excerpt
from unrolled.saved import Label, Strict, valid

__all__ = [
    "BLOCK",
    "NO_LABEL",
    "ByExample",
    "score_blocks",
    "score_classes",
    "score_label_sets",
    "score_numbers",
    "score_tags",
    "score_translations",
]

BLOCK = 256
"""Number of consecutive tokens of a text that are one example of task generate."""
LONGEST_TEXT = 200
"""Maximum number of characters of a text of an example; longer ones are shortened."""
NO_LABEL = "(none)"
"""Text of an empty set of labels."""
TEXTS = ("inputs", "truths", "answers")

Integers = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False, repr=False)
class ByExample:
    """Scores of N examples, in the order of the data.

    Args:
        figure: name of the score, such as "accuracy"; the mean of the scores is that figure.
        greater_is_better: whether a greater score is better.
        scores: (N,) float64, finite.
        lengths: (N,) integers, the length of each example in tokens: of the source for task translate, in steps for
            images, and in words for task tag.
        inputs, truths, answers: N short texts each, for a table; an image is named by its index, a block of a text by
            its first and last token.

    Raises:
        ShapeError: the number of lengths or texts differs from that of the scores.
        DataError: there is no example, or a score is not finite.
    """

    figure: str
    greater_is_better: bool
    scores: Floats
    lengths: Integers
    inputs: tuple[str, ...]
    truths: tuple[str, ...]
    answers: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.scores.ndim != 1 or self.scores.dtype != np.float64:
            raise ShapeError(f"scores must be (N,) float64: got {self.scores.dtype} of shape {self.scores.shape}")
        N = len(self.scores)
        if not N:
            raise DataError("there is no example to score", fix="pass a test split with at least one example")
        if self.lengths.shape != (N,) or self.lengths.dtype.kind not in "iu":
            raise ShapeError(
                f"lengths must be (N={N},) integers: got {self.lengths.dtype} of shape {self.lengths.shape}"
            )
        for name in TEXTS:
            if len(getattr(self, name)) != N:
                raise ShapeError(f"{name} must be N={N} texts: got {len(getattr(self, name))}")
        if not np.isfinite(self.scores).all():
            raise DataError(f"a score is not finite: {self.scores[~np.isfinite(self.scores)][0]}")

    def __len__(self) -> int:
        return len(self.scores)

    def __repr__(self) -> str:
        return f"ByExample({self.figure} {self.mean:.6g} of {len(self):,} examples)"

    @property
    def mean(self) -> float:
        """The figure: the mean of the scores."""
        return float(self.scores.mean())

    def save(self, path: str | Path) -> None:
        """Write the scores as one .npz file, which `load` reads.

        Raises:
            CheckpointError: it cannot be written.
        """
        about = {"figure": self.figure, "greater_is_better": self.greater_is_better}
        texts = {name: list(getattr(self, name)) for name in TEXTS}
        encoded = json.dumps(about | texts, ensure_ascii=False).encode()
        buffer = BytesIO()
        np.savez(buffer, scores=self.scores, lengths=self.lengths, about=np.frombuffer(encoded, np.uint8))
        atomic.write_file(Path(path), buffer.getvalue())

    @classmethod
    def load(cls, path: str | Path) -> ByExample:
        """Read a file that `save` has written; no code in it is executed.

        Raises:
            CheckpointError: the file is missing or damaged, or holds something else.
        """
        path = Path(path)
        with atomic.read_errors(path):
            data = path.read_bytes()
        try:
            scores, lengths, about = _arrays(data)
            read = valid(_About, "its entry about", about.tobytes())
            return cls(
                read.figure,
                read.greater_is_better,
                scores,
                lengths,
                *(tuple(getattr(read, name)) for name in TEXTS),
            )
        except (ShapeError, DataError, *DAMAGED) as error:
            raise CheckpointError(
                f"{path} has no scores of examples, or is damaged: {excerpt(str(error), 200)}"
            ) from None


class _About(Strict):
    """The entries of a file of scores that are not numbers."""

    figure: Label
    greater_is_better: bool
    inputs: list[str]
    truths: list[str]
    answers: list[str]


DAMAGED = (ValueError, KeyError, EOFError, MemoryError, NotImplementedError, RuntimeError, zipfile.BadZipFile)
"""Errors of zipfile and numpy where a file is damaged."""


def _arrays(data: bytes) -> tuple[NDArray[Any], ...]:
    """Return the arrays of an .npz file: scores, lengths, about."""
    archive = np.load(BytesIO(data), allow_pickle=False)
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise ValueError("it is one array")
    return archive["scores"], archive["lengths"], archive["about"]


def _scored(
    figure: str,
    scores: ArrayLike,
    lengths: ArrayLike,
    texts: tuple[Iterable[str], Iterable[str], Iterable[str]],
    *,
    greater_is_better: bool = True,
) -> ByExample:
    """Return scores with their inputs, truths and answers shortened."""
    short = (tuple(excerpt(text, LONGEST_TEXT) for text in each) for each in texts)
    return ByExample(figure, greater_is_better, np.asarray(scores, np.float64), np.asarray(lengths), *short)


def score_classes(
    labels: Sequence[str], truth: Integers, answers: Integers, lengths: Integers, inputs: Iterable[str]
) -> ByExample:
    """Return 1 for each example with the right class, and 0 for the others.

    Args:
        labels: the K labels, in the order of their indices.
        truth, answers: (N,) classes.
        lengths: (N,) tokens of each example.
        inputs: N texts.
    """
    texts = (inputs, (labels[k] for k in truth.tolist()), (labels[k] for k in answers.tolist()))
    return _scored("accuracy", truth == answers, lengths, texts)


def score_label_sets(
    labels: Sequence[str], truth: Bools, answers: Bools, lengths: Integers, inputs: Iterable[str]
) -> ByExample:
    """Return 1 for each text all of whose labels are answered and no other, and 0 for the others.

    Args:
        labels: the K labels, in the order of their indices.
        truth, answers: (N, K), whether a text has a label.
        lengths: (N,) tokens of each text.
        inputs: N texts.
    """

    def shown(sets: Bools) -> Iterable[str]:
        return (", ".join(labels[k] for k in np.flatnonzero(each).tolist()) or NO_LABEL for each in sets)

    return _scored("subset_accuracy", (truth == answers).all(axis=1), lengths, (inputs, shown(truth), shown(answers)))


def score_numbers(truth: Floats, predicted: Floats, lengths: Integers, inputs: Iterable[str]) -> ByExample:
    """Return the absolute error of each predicted number.

    Args:
        truth, predicted: (N,) numbers.
        lengths: (N,) tokens of each text.
        inputs: N texts.
    """
    texts = (inputs, (f"{value:.6g}" for value in truth), (f"{value:.6g}" for value in predicted))
    return _scored("absolute_error", np.abs(truth - predicted), lengths, texts, greater_is_better=False)


def score_tags(
    labels: Sequence[str], truth: Integers, answers: Integers, sentences: Sequence[Sequence[str]]
) -> ByExample:
    """Return the right words of each sentence, times N / W.

    Args:
        labels: the K tags, in the order of their indices.
        truth, answers: (W,) tags of the words.
        sentences: N sentences as words, W in all, none empty.
    """
    lengths = np.array([len(words) for words in sentences], dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    right = np.add.reduceat(truth == answers, starts, dtype=np.int64)

    def shown(tags: Integers) -> Iterable[str]:
        return (" ".join(labels[k] for k in own.tolist()) for own in np.split(tags, starts[1:]))

    texts = (" ".join(words) for words in sentences), shown(truth), shown(answers)
    return _scored("accuracy", right * (len(lengths) / len(truth)), lengths, texts)


def score_translations(
    answers: Sequence[str], references: Sequence[Sequence[str]], lengths: Integers, sources: Iterable[str]
) -> ByExample:
    """Return sacrebleu's chrF of each answer, from 0 to 100, compared with the nearest of its references.

    Args:
        answers: N texts.
        references: N lists of texts, one or more each; the first is shown.
        lengths: (N,) tokens of each source.
        sources: N texts.
    """
    from sacrebleu.metrics.chrf import CHRF

    metric = CHRF()
    scores = [metric.sentence_score(*pair).score for pair in zip(answers, references, strict=True)]
    return _scored("mean_chrf", scores, lengths, (sources, (each[0] for each in references), answers))


def score_blocks(nats: Floats, characters: int, texts: Iterable[str]) -> ByExample:
    """Return the bits of each block of BLOCK tokens, times N / C for N blocks of C characters in all.

    Args:
        nats: (T,), −ln p of each token given those before it.
        characters: number C of characters of the text.
        texts: the text of each block.
    """
    starts = np.arange(0, len(nats), BLOCK)
    sums, N = np.add.reduceat(nats, starts), len(starts)
    lengths = np.diff(starts, append=len(nats))
    names = [f"tokens {start + 1:,} to {start + n:,}" for start, n in zip(starts, lengths, strict=True)]
    bits = [f"{each:.3f} bits a token" for each in sums / (lengths * math.log(2))]
    scores = sums * (N / (characters * math.log(2)))
    return _scored("bits_per_character", scores, lengths, (names, texts, bits), greater_is_better=False)
