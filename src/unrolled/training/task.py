"""The interface between a task and training: everything in which one task differs from another.

A task is one file in `unrolled.tasks`, which the lineage names by dotted path. Training uses this interface only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unrolled.config import BestBy, Config
from unrolled.data.report.issues import Report
from unrolled.data.splits.stored import Content
from unrolled.errors import DataError
from unrolled.evaluation.baselines import Baseline, BaselineScores
from unrolled.models import Answer, Ids, Inputs, Model
from unrolled.runs.preprocessor import Preprocessor, inputs_of, num_outputs_of
from unrolled.runs.run import Run
from unrolled.training.batch import Loader
from unrolled.training.progress import Score
from unrolled.training.step import LossNats

__all__ = ["Answers", "Task"]

Answers: TypeAlias = tuple[NDArray[np.float64], NDArray[np.int64]]


class Task(ABC):
    """A task with its data, read and encoded for a model; made by `read`.

    Attributes:
        name: name of the data, for run folders.
        preprocessor: turns the data into the model's inputs.
        labels: the label of each of the model's outputs; empty where the outputs are the tokens themselves.
    """

    answer: ClassVar[Answer]
    """Steps at which its models answer: once, after the whole sequence, or at each step."""
    run: ClassVar[type[Run]]
    """The class of its finished runs."""
    best_by: ClassVar[tuple[BestBy, ...]] = ("loss", "accuracy")
    """The figures on the validation split by which a model can be chosen."""
    CACHED: ClassVar[bool] = False
    """Whether large data are cached, see `unrolled.tasks.cached`; then it has `content`, `restore` and `log_read`."""
    smallest: ClassVar[Inputs] = Ids(1)
    """The smallest inputs of its kind, to check whether a model can be built."""

    name: str
    preprocessor: Preprocessor
    labels: tuple[str, ...]

    @classmethod
    @abstractmethod
    def read(cls, data: object, config: Config, preprocessor: Preprocessor | None = None) -> Self:
        """Read `data`, split it, learn the preprocessor from the training split, and log the result.

        Args:
            data: the data, as the user named them.
            config: the settings to read it with.
            preprocessor: preprocessor of an earlier training, used unchanged; None: it is learned.

        Raises:
            DataError: the data cannot be read as requested; names file and line.
        """

    @classmethod
    @abstractmethod
    def inspect(cls, data: object, config: Config) -> Report:
        """Return the data report: statistics and issues of `data`, made before training."""

    def content(self) -> Content:
        """Return all that was read, as arrays and JSON values."""
        raise NotImplementedError(f"{type(self).__name__} is not cached")

    @classmethod
    def restore(cls, data: object, config: Config, preprocessor: Preprocessor, content: Content) -> Self:
        """Return the task with data that are in the cache, without a log.

        Args:
            data, config: see `read`.
            preprocessor: the preprocessor.
            content: all else, as `content` has returned it.
        """
        raise NotImplementedError(f"{cls.__name__} is not cached")

    def log_read(self) -> None:
        """Log the result of `read` for data from the cache."""
        raise NotImplementedError(f"{type(self).__name__} is not cached")

    @property
    def num_outputs(self) -> int:
        """The size V of the model's logits: the number of labels, or of tokens."""
        return num_outputs_of(inputs_of(self.preprocessor), self.labels)

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of tokens of the training split, or of images."""

    @property
    def longest(self) -> int:
        """The length of the longest sequence that a model has to read as a whole; 0 if there is none."""
        return 0

    @abstractmethod
    def typical_lengths(self, config: Config) -> tuple[int, int]:
        """Return the median lengths of the training split: of sources (0 without), and of sequences or targets."""

    def refuse_longer(self, model: Model, name: str) -> None:
        """Refuse sequences that are longer than the model's maximum length.

        Args:
            model: the model, with its maximum length.
            name: name of its architecture, for the message.

        Raises:
            DataError: names the longest sequence, and the context window that it needs.
        """
        if model.max_length is not None and self.longest > model.max_length:
            raise DataError(
                f"the longest sequence has {self.longest:,} tokens, and model {name} reads at most "
                f"{model.max_length:,}",
                fix=f"give shorter ones, or --window {self.longest}",
            )

    @abstractmethod
    def loader(self, model: Model, config: Config, device: torch.device) -> Loader:
        """Return the training split, in batches for this model."""

    @abstractmethod
    def loss(self, config: Config, device: torch.device) -> LossNats:
        """Return the loss: (a model's logits, a batch's targets) -> the summed nats of all real targets."""

    @abstractmethod
    def score(self, model: Model, *, by: BestBy = "loss") -> Score:
        """Return the score of the model on the validation split.

        Args:
            by: name of a figure that the score must have.
        """

    def validation(self, model: Model) -> Answers:
        """Return the probabilities of the classes (N, K) and the right classes (N,) on the validation split.

        Raises:
            NotImplementedError: the answers of the task are not classes.
        """
        raise NotImplementedError(f"the answers of {type(self).__name__} are not classes")

    def first_weights(self, start: Run) -> dict[str, Tensor]:
        """Return the weights with which a training begins that starts from a run."""
        return start.model.state_dict()

    @abstractmethod
    def record(self) -> dict[str, Any]:
        """Return the entry of run.json for the data; its `splits` have the fingerprints."""

    @abstractmethod
    def test(self, run: Run) -> Any | None:
        """Return the run's result on the test split; None if there is no test split."""

    def test_inputs(self) -> Sequence[Any]:
        """Return the inputs of the test split, in the order of their scores, each as the run's `decode` takes one.

        Raises:
            NotImplementedError: the examples of the task are not inputs, but pieces of a text.
        """
        raise NotImplementedError(f"the examples of {type(self).__name__} are not inputs")

    @abstractmethod
    def baselines(self) -> list[BaselineScores]:
        """Return the scores of simple methods on the test split, without a run; none if there is no test split."""

    def baseline(self, run: Run) -> Baseline | None:
        """Return a baseline next to the run, on the test split; None if the task has none, or no test split."""
        return None
