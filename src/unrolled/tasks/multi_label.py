"""The task classify with any number of labels for a text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor

from unrolled.config import Config
from unrolled.data.encoding.batches import Sequences
from unrolled.data.encoding.tokenizers import Tokenizer
from unrolled.data.examples.label_sets import label_sets, multi_hot
from unrolled.data.examples.labelled import Examples
from unrolled.data.report.label_sets import LabelSetReport, inspect_label_sets, ruinous_issues, usual_labels
from unrolled.data.splits.label_sets import split_label_sets
from unrolled.data.splits.labelled import Splits
from unrolled.evaluation import MultiLabelResult
from unrolled.models import Model
from unrolled.runs.multi_label import MultiLabelRun
from unrolled.runs.preprocessor import Preprocessor
from unrolled.runs.run import Run
from unrolled.tasks.classification import OF_TEXTS, AnsweredOnce
from unrolled.tasks.split_record import data_record, log_issues, log_splits
from unrolled.training import multi_label
from unrolled.training.progress import Score

__all__ = ["ClassifyMultiLabel"]


class ClassifyMultiLabel(AnsweredOnce):
    """The task classify for texts with several labels each; the targets are 1 for those that a text has, (N, K).

    Args:
        data: the argument of the user. splits: read from it. tokenizer: learned from the training split.
    """

    run = MultiLabelRun
    unused = OF_TEXTS | {"class_weights"}

    def __init__(self, data: object, splits: Splits, tokenizer: Tokenizer) -> None:
        self.name, self.labels, self.preprocessor = splits.train.name, splits.labels, tokenizer
        self.data, self.splits = data, splits

        def sequences(split: Examples) -> tuple[Sequences, Tensor]:
            targets = torch.from_numpy(multi_hot(split, splits.labels)).float()
            return Sequences(tokenizer.encode_each(split.texts())), targets

        super().__init__(sequences(splits.train), sequences(splits.valid))

    @classmethod
    def read(cls, data: object, config: Config, preprocessor: Preprocessor | None = None) -> Self:
        """Read examples and split them; see `Task.read`."""
        splits = split_label_sets(data, config.data)
        log_splits(splits)
        log_issues(ruinous_issues(data, config.data, splits))
        assert preprocessor is None or isinstance(preprocessor, Tokenizer)
        return cls(data, splits, preprocessor or Tokenizer.learn(splits.train.texts(), config.data))

    @classmethod
    def inspect(cls, data: object, config: Config) -> LabelSetReport:
        """Return columns, counts, splits, lengths and labels; see `unrolled.data.report.label_sets`."""
        return inspect_label_sets(data, config.data, longest=config.training.batch_tokens)

    def batch_tokens(self, config: Config) -> int:
        """Return `batch_tokens` of the settings."""
        return config.training.batch_tokens

    def loss(self, config: Config, device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
        """Return the nats of the right decisions on all labels, smoothed as configured."""
        return partial(multi_label.loss_nats, label_smoothing=config.training.label_smoothing)

    def score(self, model: Model) -> Score:
        """Return mean loss and micro-F1 on the validation split."""
        return multi_label.score(model, *self._valid)

    def record(self) -> dict[str, Any]:
        """Return the splits and the most frequent labels."""
        counts = Counter(label for own in label_sets(self.splits.train) for label in own)
        return {**data_record(self.data, self.splits), "usual": usual_labels(counts, len(self.splits.train))}

    def test(self, run: Run) -> MultiLabelResult | None:
        """Return F1 and the other measures on the test split."""
        assert isinstance(run, MultiLabelRun)
        return run.result(self.splits.test) if len(self.splits.test) else None
