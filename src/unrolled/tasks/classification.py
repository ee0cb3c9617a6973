"""The task classify: one of the labels of the training split for a text (or an image, see `images`)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from unrolled.config import Config
from unrolled.data.encoding.batches import Sequences
from unrolled.data.encoding.tokenizers import Tokenizer
from unrolled.data.examples.labelled import Examples
from unrolled.data.report.labelled import DataReport, inspect, ruinous_issues
from unrolled.data.splits.labelled import Splits, load_splits
from unrolled.decoding.classification import Readable
from unrolled.evaluation import ClassificationResult
from unrolled.models import Model
from unrolled.runs.classification import ClassificationRun
from unrolled.runs.preprocessor import Preprocessor
from unrolled.runs.run import Run
from unrolled.tasks.split_record import data_record, log_issues, log_splits
from unrolled.training import classification
from unrolled.training.progress import Score
from unrolled.training.task import OF_PAIRS, Task

__all__ = ["OF_TEXTS", "AnsweredOnce", "Classified", "Classify"]

OF_TEXTS = OF_PAIRS | {"cache", "streams", "chunk", "by", "permutation_seed", "batch_images", "whole_words"}
"""Settings that no task of labelled texts uses."""


class AnsweredOnce(Task):
    """Base of the tasks with one answer for a whole sequence.

    Args:
        train, valid: the sequences of two splits, and their targets: N classes, numbers or rows.
    """

    answer = "once"

    def __init__(self, train: tuple[Readable, Tensor], valid: tuple[Readable, Tensor]) -> None:
        self._train, self._valid = train, valid

    @abstractmethod
    def batch_tokens(self, config: Config) -> int:
        """Return the maximum number of tokens of a batch."""

    @property
    def longest(self) -> int:
        """The length of the longest sequence."""
        return max(
            int(sequences.lengths.max()) for sequences in (self._train[0], self._valid[0]) if len(sequences.lengths)
        )

    def loader(self, model: Model, config: Config, device: torch.device) -> classification.ClassificationLoader:
        """Return batches of sequences of similar lengths."""
        return classification.ClassificationLoader(
            *self._train, batch_tokens=self.batch_tokens(config), seed=config.training.seed, device=device
        )


class Classified(AnsweredOnce):
    """The task classify, for texts and images: the targets are classes (N,)."""

    def loss(self, config: Config, device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
        """Return the nats of the right class, smoothed and weighted as configured."""
        weights = None
        if config.training.class_weights == "balanced":
            weights = classification.balanced(self._train[1], len(self.labels)).to(device)
        smoothing = config.training.label_smoothing
        return partial(classification.loss_nats, label_smoothing=smoothing, class_weights=weights)

    def score(self, model: Model) -> Score:
        """Return mean loss and accuracy on the validation split."""
        return classification.score(model, *self._valid)

    @property
    def majority(self) -> str:
        """The most frequent label of the training split; the first of several."""
        return self.labels[int(np.bincount(self._train[1].numpy()).argmax())]


class Classify(Classified):
    """The task classify for texts.

    Args:
        data: the argument of the user. splits: read from it. tokenizer: learned from the training split.
    """

    run = ClassificationRun
    unused = OF_TEXTS

    def __init__(self, data: object, splits: Splits, tokenizer: Tokenizer) -> None:
        self.name, self.labels, self.preprocessor = splits.train.name, splits.labels, tokenizer
        self.data, self.splits = data, splits

        def sequences(split: Examples) -> tuple[Sequences, Tensor]:
            index = {label: k for k, label in enumerate(splits.labels)}
            classes = np.fromiter((index[label] for label in split.labels()), np.int64, len(split))
            return Sequences(tokenizer.encode_each(split.texts())), torch.from_numpy(classes)

        super().__init__(sequences(splits.train), sequences(splits.valid))

    @classmethod
    def read(cls, data: object, config: Config, preprocessor: Preprocessor | None = None) -> Self:
        """Read examples and split them; see `Task.read`."""
        splits = load_splits(data, config.data)
        log_splits(splits)
        log_issues(ruinous_issues(data, config.data, splits))
        assert preprocessor is None or isinstance(preprocessor, Tokenizer)
        tokenizer = preprocessor or Tokenizer.learn(splits.train.texts(), config.data)
        return cls(data, splits, tokenizer)

    @classmethod
    def inspect(cls, data: object, config: Config) -> DataReport:
        """Return columns, counts, splits, lengths and labels; see `unrolled.data.report.labelled`."""
        return inspect(data, config.data, longest=config.training.batch_tokens)

    def batch_tokens(self, config: Config) -> int:
        """Return `batch_tokens` of the settings."""
        return config.training.batch_tokens

    def record(self) -> dict[str, Any]:
        """Return the splits and the most frequent label."""
        return {**data_record(self.data, self.splits), "majority": self.majority}

    def test(self, run: Run) -> ClassificationResult | None:
        """Return accuracy and the other measures on the test split."""
        assert isinstance(run, ClassificationRun)
        return run.result(self.splits.test) if len(self.splits.test) else None
