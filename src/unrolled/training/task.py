"""What training and a run's folder ask of a task: everything in which one task differs from another, in one place.

A task is one file in `unrolled.tasks`, which the lineage names by dotted path. Training knows only what stands here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from unrolled.config import Config, refuse_unused
from unrolled.data.report.issues import Report
from unrolled.errors import DataError
from unrolled.models import Answer, Ids, Inputs, Model
from unrolled.runs.preprocessor import Preprocessor, inputs_of, num_outputs_of
from unrolled.runs.run import Run
from unrolled.training.batch import Loader
from unrolled.training.progress import Score

__all__ = ["OF_PAIRS", "Task"]

OF_PAIRS = frozenset({"source", "target", "source_tokenizer", "shared_vocabulary", "max_length", "truncate"})
"""Settings that only data with a source and a target have a use for."""


class Task(ABC):
    """A task with its data, read and made ready for a model: made by `read`.

    Args:
        name: of the data, for run folders.
        preprocessor: what makes them ready.
        labels: what each of the model's outputs means; empty where they are the tokens themselves.
    """

    answer: ClassVar[Answer]
    """Whether its models answer once, or at each step."""
    run: ClassVar[type[Run]]
    """What its finished run is."""
    unused: ClassVar[frozenset[str]] = frozenset()
    """The settings that it does not use: they must stay at their default."""
    smallest: ClassVar[Inputs] = Ids(1)
    """The smallest inputs of its kind, to see whether a model can be built."""

    name: str
    preprocessor: Preprocessor
    labels: tuple[str, ...]

    @classmethod
    @abstractmethod
    def read(cls, data: object, config: Config, preprocessor: Preprocessor | None = None) -> Self:
        """Read `data`, truncate it into parts, learn the preprocessor from the training split; log what was understood.

        Args:
            data: what the user gave. config: says how it is read.
            preprocessor: one that was learned before, which is taken as it is.

        Raises:
            DataError: the data cannot be read as asked; names file and line.
        """

    @classmethod
    @abstractmethod
    def inspect(cls, data: object, config: Config) -> Report:
        """Say what is understood of `data` before anything is trained, and what a training would suffer from."""

    @classmethod
    def refuse_unused(cls, config: Config) -> None:
        """Refuse settings that differ from their default though the task does not use them.

        Raises:
            ConfigError: names the setting.
        """
        refuse_unused(config, f"task {config.task}{' of images' if config.data.by else ''}", cls.unused)

    @property
    def num_outputs(self) -> int:
        """V of the model's logits: a number for each label, or for each token."""
        return num_outputs_of(inputs_of(self.preprocessor), self.labels)

    @property
    def longest(self) -> int:
        """Steps of its longest sequence; 0 where none needs to be read whole."""
        return 0

    def refuse_longer(self, model: Model, name: str) -> None:
        """Refuse sequences that are longer than the model's limit.

        Raises:
            DataError: names the longest, and the window that would do.
        """
        if model.max_length is not None and self.longest > model.max_length:
            raise DataError(
                f"the longest sequence has {self.longest:,} tokens, and model {name} sees {model.max_length:,}",
                fix=f"give shorter ones, or --window {self.longest}",
            )

    @abstractmethod
    def loader(self, model: Model, config: Config, device: torch.device) -> Loader:
        """The training split, in batches for this model."""

    @abstractmethod
    def loss(self, config: Config, device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
        """(a model's logits, a batch's targets) -> the summed nats of all real targets, as the settings want them."""

    @abstractmethod
    def score(self, model: Model) -> Score:
        """How well the model does on the validation split."""

    @abstractmethod
    def record(self) -> dict[str, Any]:
        """What run.json says of the data; `parts` has every part's fingerprint."""

    @abstractmethod
    def test(self, run: Run) -> Any | None:
        """The run's result on the test split; None if there is none."""
