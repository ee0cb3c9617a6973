"""The task classify with any number of labels for a text."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor

from unrolled.config import BestBy, Config, most_batch_tokens
from unrolled.data.encoding.batches import Sequences
from unrolled.data.encoding.choose import learn
from unrolled.data.encoding.tokenizers import Tokenizer
from unrolled.data.examples.label_sets import label_sets, multi_hot
from unrolled.data.examples.labelled import Examples
from unrolled.data.report.issues import Report
from unrolled.data.report.label_sets import inspect_label_sets, ruinous_issues, usual_labels
from unrolled.data.splits.label_sets import split_label_sets
from unrolled.data.splits.labelled import Splits
from unrolled.evaluation import MultiLabelResult
from unrolled.models import Model
from unrolled.runs.multi_label import MultiLabelRun
from unrolled.runs.preprocessor import Preprocessor
from unrolled.runs.run import Run
from unrolled.tasks.classification import AnsweredOnce
from unrolled.tasks.split_record import data_record, log_issues, log_splits
from unrolled.training import multi_label
from unrolled.training.progress import Score
from unrolled.training.step import LossNats

__all__ = ["ClassifyMultiLabel"]


class ClassifyMultiLabel(AnsweredOnce):
    """The task classify for texts with several labels each; the targets are 1 for those that a text has, (N, K).

    Args:
        data: the data, as the user named them.
        splits: the splits, read from it.
        tokenizer: the tokeniser, learned from the training split.
    """

    best_by = ("loss", "micro_f1")
    run = MultiLabelRun

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
        return cls(data, splits, preprocessor or learn(splits.train.texts(), config.data))

    @classmethod
    def inspect(cls, data: object, config: Config) -> Report:
        """Return columns, counts, splits, lengths and labels; see `unrolled.data.report.label_sets`."""
        return inspect_label_sets(data, config.data, longest=most_batch_tokens(config))

    def loss(self, config: Config, device: torch.device) -> LossNats:
        """Return the nats of the right decisions on all labels, smoothed as configured."""
        return partial(multi_label.loss_nats, label_smoothing=config.training.label_smoothing)

    def score(self, model: Model, *, by: BestBy = "loss") -> Score:
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
