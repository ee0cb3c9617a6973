"""The task classify: one of the labels of the training split for a text (or an image, see `images`)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unrolled.config import BestBy, Config, most_batch_tokens
from unrolled.data.encoding.batches import Sequences
from unrolled.data.encoding.choose import learn
from unrolled.data.encoding.tokenizers import Tokenizer
from unrolled.data.examples.class_names import class_names
from unrolled.data.examples.labelled import Examples
from unrolled.data.reading.arrays import indices_among
from unrolled.data.report.checks import TextRepeats, leakage_issues
from unrolled.data.report.issues import Report
from unrolled.data.report.labelled import inspect, ruinous_issues
from unrolled.data.splits.labelled import Splits, load_splits
from unrolled.data.splits.stored import Content, content_of, prefixed, splits_of, within
from unrolled.data.splitting import DataSplits
from unrolled.decoding.classification import Readable, probabilities
from unrolled.evaluation import ClassificationResult
from unrolled.evaluation.baselines import Baseline, BaselineScores, compare, linear_texts, timed
from unrolled.evaluation.by_example import ByExample, score_classes
from unrolled.models import Model
from unrolled.runs.classification import ClassificationRun
from unrolled.runs.preprocessor import Preprocessor
from unrolled.runs.run import Run
from unrolled.tasks.split_record import FromCache, data_record, log_issues, log_splits, log_unknown
from unrolled.training import classification
from unrolled.training.progress import Score
from unrolled.training.step import LossNats
from unrolled.training.task import Answers, Task

__all__ = ["AnsweredOnce", "AnsweredTexts", "Classified", "Classify", "Encoded", "encoded_of"]


class AnsweredOnce(Task):
    """Base of the tasks with one answer for a whole sequence.

    Args:
        train, valid: the sequences of two splits, and their targets: N classes, numbers or rows.
    """

    answer = "once"
    splits: Any

    def __init__(self, train: tuple[Readable, Tensor], valid: tuple[Readable, Tensor]) -> None:
        self._train, self._valid = train, valid

    def batch_tokens(self, config: Config) -> int:
        """Return the maximum number of tokens of a batch."""
        assert config.training.batch_tokens is not None, "decided by the data"
        return config.training.batch_tokens

    @property
    def size(self) -> int:
        """The number of tokens of the training split."""
        return int(self._train[0].lengths.sum())

    @property
    def longest(self) -> int:
        """The length of the longest sequence."""
        return max(
            int(sequences.lengths.max()) for sequences in (self._train[0], self._valid[0]) if len(sequences.lengths)
        )

    def test_inputs(self) -> Sequence[Any]:
        """Return the texts of the test split."""
        texts: Sequence[str] = self.splits.test.texts()
        return texts

    def typical_lengths(self, config: Config) -> tuple[int, int]:
        """Return 0, and the median length of the sequences."""
        return 0, int(self._train[0].lengths.median())

    def loader(self, model: Model, config: Config, device: torch.device) -> classification.ClassificationLoader:
        """Return batches of sequences of similar lengths."""
        return classification.ClassificationLoader(
            *self._train, batch_tokens=self.batch_tokens(config), seed=config.training.seed, device=device
        )


class AnsweredTexts(FromCache, AnsweredOnce):
    """Base of the tasks with one answer for a text, whose data are cached."""

    def content(self) -> Content:
        """Return the splits, their ids and targets; see `Task.content`."""
        arrays, facts = content_of(self.splits)
        for name, (sequences, targets) in (("train", self._train), ("valid", self._valid)):
            assert isinstance(sequences, Sequences)
            arrays = {**arrays, **prefixed(f"{name} ids", sequences.arrays()), f"{name} targets": targets.numpy()}
        return Content(arrays, {**facts, "issues": [*self.issues]})


Encoded = tuple[Sequences, Tensor]
"""A split as ids, and its targets."""


def encoded_of(content: Content) -> tuple[Encoded, Encoded]:
    """Return the training and the validation split as `AnsweredTexts.content` has stored them."""

    def split(name: str) -> Encoded:
        targets = torch.from_numpy(content.arrays[f"{name} targets"])
        return Sequences.of(within(f"{name} ids", content.arrays)), targets

    return split("train"), split("valid")


class Classified(AnsweredOnce):
    """The task classify, for texts and images: the targets are classes (N,).

    Args:
        train, valid: the sequences of two splits, and their classes (N,).
        names: names of the labels in the data, in the order of the classes; see `class_names`.
    """

    best_by = ("loss", "accuracy", "macro_f1")
    splits: DataSplits[Any]

    def __init__(
        self, train: tuple[Readable, Tensor], valid: tuple[Readable, Tensor], names: Mapping[str, str]
    ) -> None:
        super().__init__(train, valid)
        self.labels, self._names = tuple(names.values()), names

    def loss(self, config: Config, device: torch.device) -> LossNats:
        """Return the nats of the right class, smoothed and weighted as configured."""
        kind, weights = config.training.class_weights, None
        if kind != "none":
            weights = classification.class_weights(self._train[1], len(self.labels), kind).to(device)
        smoothing = config.training.label_smoothing
        return partial(classification.loss_nats, label_smoothing=smoothing, class_weights=weights)

    def score(self, model: Model, *, by: BestBy = "loss") -> Score:
        """Return mean loss and accuracy on the validation split."""
        return classification.score(model, *self._valid)

    def validation(self, model: Model) -> Answers:
        """Return the probabilities and the right classes of the validation split."""
        sequences, classes = self._valid
        return probabilities(model, sequences), classes.long().numpy()

    def labels_record(self) -> dict[str, Any]:
        """Return the entries of run.json for the labels: the most frequent one, and those of the data if named."""
        named = any(label != name for label, name in self._names.items())
        return {"majority": self.majority} | ({"labels": [*self._names]} if named else {})

    @property
    def majority(self) -> str:
        """The most frequent label of the training split; the first of several."""
        return self.labels[self._majority_class]

    @property
    def _majority_class(self) -> int:
        return int(torch.bincount(self._train[1]).argmax())

    @abstractmethod
    def linear(self) -> BaselineScores:
        """Return the scores of a linear classifier on the test split."""

    @abstractmethod
    def test_scores(self, answers: NDArray[np.integer[Any]]) -> ByExample:
        """Return the scores of classes (N,) that are answered on the test split."""

    def baselines(self) -> list[BaselineScores]:
        """Return the most frequent label and a linear classifier; see `unrolled.evaluation.baselines`."""
        if not (N := len(self.splits.test)):
            return []
        always = np.full(N, self._majority_class)
        return [timed("most frequent label", lambda: self.test_scores(always)), self.linear()]

    def baseline(self, run: Run) -> Baseline | None:
        """Return a linear classifier next to the run; see `unrolled.evaluation.baselines`."""
        if not len(self.splits.test):
            return None
        name, scores, seconds = self.linear()
        return compare(name, run.scores(self.splits.test).scores == 1, scores.scores == 1, seconds)


class Classify(AnsweredTexts, Classified):
    """The task classify for texts.

    Args:
        data: the data, as the user named them.
        splits: the splits, read from it.
        tokenizer: the tokeniser, learned from the training split.
        names: names of the labels in the data.
        encoded: the training and the validation split as ids, if they are known.
    """

    run = ClassificationRun
    splits: Splits

    def __init__(
        self,
        data: object,
        splits: Splits,
        tokenizer: Tokenizer,
        names: Mapping[str, str],
        encoded: tuple[Encoded, Encoded] | None = None,
    ) -> None:
        self.name, self.preprocessor = splits.train.name, tokenizer
        self.data, self.splits = data, splits
        train, valid = encoded or (self._encoded(splits.train), self._encoded(splits.valid))
        self.sequences = {"train": train[0], "valid": valid[0]}
        super().__init__(train, valid, names)

    @classmethod
    def read(cls, data: object, config: Config, preprocessor: Preprocessor | None = None) -> Self:
        """Read examples and split them; see `Task.read`."""
        splits = load_splits(data, config.data)
        names = class_names(splits.labels, config.data)
        log_splits(splits)
        issues = log_issues(ruinous_issues(data, config.data, splits))
        issues += log_issues(leakage_issues(lambda filled: TextRepeats(filled, splits.labels), splits))
        assert preprocessor is None or isinstance(preprocessor, Tokenizer)
        tokenizer = preprocessor or learn(splits.train.texts(), config.data)
        task = cls(data, splits, tokenizer, names)
        task.issues = issues + log_unknown(**task.sequences)
        return task

    @classmethod
    def restore(cls, data: object, config: Config, preprocessor: Preprocessor, content: Content) -> Self:
        """Return the task with data that are in the cache; see `Task.restore`."""
        splits = splits_of(content, Splits, Examples)
        assert isinstance(preprocessor, Tokenizer)
        task = cls(data, splits, preprocessor, class_names(splits.labels, config.data), encoded_of(content))
        task.issues = content.facts["issues"]
        return task

    @classmethod
    def inspect(cls, data: object, config: Config) -> Report:
        """Return columns, counts, splits, lengths and labels; see `unrolled.data.report.labelled`."""
        return inspect(data, config.data, longest=most_batch_tokens(config))

    def record(self) -> dict[str, Any]:
        """Return the splits and the most frequent label."""
        return {**data_record(self.data, self.splits), **self.labels_record()}

    def test(self, run: Run) -> ClassificationResult | None:
        """Return accuracy and the other measures on the test split."""
        assert isinstance(run, ClassificationRun)
        return run.result(self.splits.test) if len(self.splits.test) else None

    def linear(self) -> BaselineScores:
        """Return the scores of a linear classifier of n-grams on the test split."""
        train, valid, test = (split.texts() for split in self.splits.named().values())
        name, answers, seconds = linear_texts((train, self._train[1].numpy()), (valid, self._valid[1].numpy()), test)
        return BaselineScores(name, self.test_scores(answers), seconds)

    def test_scores(self, answers: NDArray[np.integer[Any]]) -> ByExample:
        """Return the scores of classes (N,) that are answered on the test split."""
        test = self.splits.test
        sequences, truth = self._encoded(test)
        return score_classes(self.labels, truth.long().numpy(), answers, sequences.lengths.numpy(), test.texts())

    def _encoded(self, split: Examples) -> tuple[Sequences, Tensor]:
        """Return a split as sequences of tokens and their classes."""
        assert isinstance(self.preprocessor, Tokenizer)
        classes = indices_among(self.splits.labels, split.labels())
        return Sequences.encode(self.preprocessor, split.texts()), torch.from_numpy(classes)
