"""The task regress: a number for a text."""

from __future__ import annotations

import logging
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from unrolled.config import BestBy, Config, most_batch_tokens
from unrolled.data.encoding.batches import Sequences
from unrolled.data.encoding.choose import learn
from unrolled.data.encoding.numbers import Scale
from unrolled.data.encoding.tokenizers import Tokenizer
from unrolled.data.examples.labelled import Examples
from unrolled.data.examples.numbers import numbers_of
from unrolled.data.report.issues import Report
from unrolled.data.report.numbers import inspect_numbers, ruinous_issues
from unrolled.data.splits.numbers import split_numbers
from unrolled.data.splits.stored import Content, splits_of
from unrolled.data.splitting import DataSplits
from unrolled.evaluation import RegressionResult
from unrolled.evaluation.baselines import BaselineScores, linear_numbers, timed
from unrolled.evaluation.by_example import ByExample, score_numbers
from unrolled.models import Model
from unrolled.runs.preprocessor import Preprocessor
from unrolled.runs.regression import OUTPUT, RegressionRun
from unrolled.runs.run import Run
from unrolled.tasks.classification import AnsweredTexts, Encoded, encoded_of
from unrolled.tasks.split_record import data_record, log_issues, log_splits
from unrolled.training import regression
from unrolled.training.progress import Score
from unrolled.training.step import LossNats

__all__ = ["Regress"]

log = logging.getLogger("unrolled")


class Regress(AnsweredTexts):
    """The task regress.

    Args:
        data: the data, as the user named them.
        splits: the splits, read from it.
        tokenizer: the tokeniser, learned from the training split.
        scale: of the numbers, if it is known.
        encoded: the training and the validation split as ids, if they are known.
    """

    best_by = ("loss", "r2")
    run = RegressionRun
    labels = (OUTPUT,)

    def __init__(
        self,
        data: object,
        splits: DataSplits[Examples],
        tokenizer: Tokenizer,
        scale: Scale | None = None,
        encoded: tuple[Encoded, Encoded] | None = None,
    ) -> None:
        self.name, self.preprocessor = splits.train.name, tokenizer
        self.data, self.splits = data, splits
        self.scale = scale or Scale.learn(numbers_of(splits.train))

        def sequences(split: Examples) -> tuple[Sequences, Tensor]:
            return Sequences.encode(tokenizer, split.texts()), torch.from_numpy(self.scale.targets(numbers_of(split)))

        super().__init__(*(encoded or (sequences(splits.train), sequences(splits.valid))))

    @classmethod
    def read(cls, data: object, config: Config, preprocessor: Preprocessor | None = None) -> Self:
        """Read examples and split them; see `Task.read`."""
        splits = split_numbers(data, config.data)
        log_splits(splits)
        issues = log_issues(ruinous_issues(data, config.data, splits))
        assert preprocessor is None or isinstance(preprocessor, Tokenizer)
        task = cls(data, splits, preprocessor or learn(splits.train.texts(), config.data))
        task.issues = issues
        log.info("numbers: mean %.6g, standard deviation %.6g", *task.scale)
        return task

    def content(self) -> Content:
        """Return the splits, their ids and targets, and the scale; see `Task.content`."""
        arrays, facts = super().content()
        return Content(arrays, {**facts, "scale": [*self.scale]})

    @classmethod
    def restore(cls, data: object, config: Config, preprocessor: Preprocessor, content: Content) -> Self:
        """Return the task with data that are in the cache; see `Task.restore`."""
        splits: DataSplits[Examples] = splits_of(content, DataSplits, Examples)
        assert isinstance(preprocessor, Tokenizer)
        task = cls(data, splits, preprocessor, Scale(*content.facts["scale"]), encoded_of(content))
        task.issues = content.facts["issues"]
        return task

    @classmethod
    def inspect(cls, data: object, config: Config) -> Report:
        """Return columns, counts, splits, lengths and numbers; see `unrolled.data.report.numbers`."""
        return inspect_numbers(data, config.data, longest=most_batch_tokens(config))

    def loss(self, config: Config, device: torch.device) -> LossNats:
        """Return the nats of the right numbers."""
        return regression.loss_nats

    def score(self, model: Model, *, by: BestBy = "loss") -> Score:
        """Return mean loss and R² on the validation split."""
        return regression.score(model, *self._valid)

    def first_weights(self, start: Run) -> dict[str, Tensor]:
        """Return the weights of a run, with its head on the scale of this training: the same numbers are predicted."""
        assert isinstance(start, RegressionRun)
        weights, before = dict(start.model.state_dict()), start.scale
        factor = before.deviation / self.scale.deviation
        weights["head.weight"] = weights["head.weight"] * factor
        weights["head.bias"] = weights["head.bias"] * factor + (before.mean - self.scale.mean) / self.scale.deviation
        return weights

    def record(self) -> dict[str, Any]:
        """Return the record of the data: the splits, and mean and standard deviation of the training numbers."""
        return {**data_record(self.data, self.splits), **self.scale._asdict()}

    def test(self, run: Run) -> RegressionResult | None:
        """Return the errors and correlations on the test split."""
        assert isinstance(run, RegressionRun)
        return run.result(self.splits.test) if len(self.splits.test) else None

    def baselines(self) -> list[BaselineScores]:
        """Return the mean and the median of the training split, and a ridge regression of n-grams.

        No constant has a smaller absolute error on the training split than the median.
        """
        train, valid, test = self.splits.named().values()
        if not len(test):
            return []
        assert isinstance(self.preprocessor, Tokenizer)
        lengths = Sequences.encode(self.preprocessor, test.texts()).lengths.numpy()
        numbers = [numbers_of(split) for split in (train, valid, test)]

        def scores(predicted: ArrayLike) -> ByExample:
            return score_numbers(numbers[2], np.broadcast_to(predicted, numbers[2].shape), lengths, test.texts())

        name, predicted, seconds = linear_numbers(
            (train.texts(), numbers[0]), (valid.texts(), numbers[1]), test.texts()
        )
        return [
            timed("mean of the training split", lambda: scores(self.scale.mean)),
            timed("median of the training split", lambda: scores(np.median(numbers[0]))),
            BaselineScores(name, scores(predicted), seconds),
        ]
