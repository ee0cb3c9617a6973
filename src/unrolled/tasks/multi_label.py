"""The task classify with any number of labels for a text."""

from __future__ import annotations

from collections import Counter
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
from unrolled.data.examples.label_sets import label_sets, multi_hot
from unrolled.data.examples.labelled import Examples
from unrolled.data.report.issues import Report
from unrolled.data.report.label_sets import inspect_label_sets, ruinous_issues, usual_labels
from unrolled.data.splits.label_sets import split_label_sets
from unrolled.data.splits.labelled import Splits
from unrolled.data.splits.stored import Content, splits_of
from unrolled.evaluation import MultiLabelResult
from unrolled.evaluation.baselines import BaselineScores, linear_label_sets, timed
from unrolled.evaluation.by_example import ByExample, score_label_sets
from unrolled.models import Model
from unrolled.runs.multi_label import MultiLabelRun
from unrolled.runs.preprocessor import Preprocessor
from unrolled.runs.run import Run
from unrolled.tasks.classification import AnsweredTexts, Encoded, encoded_of
from unrolled.tasks.split_record import data_record, log_issues, log_splits
from unrolled.training import multi_label
from unrolled.training.progress import Score
from unrolled.training.step import LossNats

__all__ = ["ClassifyMultiLabel"]


class ClassifyMultiLabel(AnsweredTexts):
    """The task classify for texts with several labels each; the targets are 1 for those that a text has, (N, K).

    Args:
        data: the data, as the user named them.
        splits: the splits, read from it.
        tokenizer: the tokeniser, learned from the training split.
        usual: the most frequent labels of the training split, if they are known.
        encoded: the training and the validation split as ids, if they are known.
    """

    best_by = ("loss", "micro_f1")
    run = MultiLabelRun

    def __init__(
        self,
        data: object,
        splits: Splits,
        tokenizer: Tokenizer,
        usual: list[str] | None = None,
        encoded: tuple[Encoded, Encoded] | None = None,
    ) -> None:
        self.name, self.labels, self.preprocessor = splits.train.name, splits.labels, tokenizer
        self.data, self.splits = data, splits

        def sequences(split: Examples) -> tuple[Sequences, Tensor]:
            targets = torch.from_numpy(multi_hot(split, splits.labels))
            return Sequences.encode(tokenizer, split.texts()), targets

        super().__init__(*(encoded or (sequences(splits.train), sequences(splits.valid))))
        self._usual = usual if usual is not None else _usual(splits.train)

    @classmethod
    def read(cls, data: object, config: Config, preprocessor: Preprocessor | None = None) -> Self:
        """Read examples and split them; see `Task.read`."""
        splits = split_label_sets(data, config.data)
        log_splits(splits)
        issues = log_issues(ruinous_issues(data, config.data, splits))
        assert preprocessor is None or isinstance(preprocessor, Tokenizer)
        task = cls(data, splits, preprocessor or learn(splits.train.texts(), config.data))
        task.issues = issues
        return task

    def content(self) -> Content:
        """Return the splits, their ids and targets, and the most frequent labels; see `Task.content`."""
        arrays, facts = super().content()
        return Content(arrays, {**facts, "usual": self._usual})

    @classmethod
    def restore(cls, data: object, config: Config, preprocessor: Preprocessor, content: Content) -> Self:
        """Return the task with data that are in the cache; see `Task.restore`."""
        splits = splits_of(content, Splits, Examples)
        assert isinstance(preprocessor, Tokenizer)
        task = cls(data, splits, preprocessor, content.facts["usual"], encoded_of(content))
        task.issues = content.facts["issues"]
        return task

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
        return {**data_record(self.data, self.splits), "usual": self._usual}

    def test(self, run: Run) -> MultiLabelResult | None:
        """Return F1 and the other measures on the test split."""
        assert isinstance(run, MultiLabelRun)
        return run.result(self.splits.test) if len(self.splits.test) else None

    def baselines(self) -> list[BaselineScores]:
        """Return the most frequent labels, the most frequent set of labels, and a linear classifier for each label."""
        train, valid, test = self.splits.named().values()
        if not len(test):
            return []
        assert isinstance(self.preprocessor, Tokenizer)
        lengths = Sequences.encode(self.preprocessor, test.texts()).lengths.numpy()
        targets = [multi_hot(split, self.labels) for split in (train, valid, test)]

        def scores(answers: NDArray[np.bool_]) -> ByExample:
            shown = np.broadcast_to(answers, targets[2].shape)
            return score_label_sets(self.labels, targets[2], shown, lengths, test.texts())

        sets, counts = np.unique(targets[0], axis=0, return_counts=True)
        name, answers, seconds = linear_label_sets(
            (train.texts(), targets[0]), (valid.texts(), targets[1]), test.texts()
        )
        return [
            timed("most frequent labels", lambda: scores(np.isin(self.labels, self._usual))),
            timed("most frequent set of labels", lambda: scores(sets[counts.argmax()])),
            BaselineScores(name, scores(answers), seconds),
        ]


def _usual(train: Examples) -> list[str]:
    """Return the most frequent labels of the training split."""
    counts = Counter(label for own in label_sets(train) for label in own)
    return usual_labels(counts, len(train))
