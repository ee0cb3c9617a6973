"""Settings that follow from the data where none were given: the size of a batch and the length of the training.

A batch of a small data set is small, so that an epoch has about UPDATES_AN_EPOCH updates, and a training has as many
epochs as its task usually needs, or more where these are few updates. The numbers were chosen by measurement on data
sets of 500 examples to all of those shipped (docs/measured.md, "Defaults").
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from unrolled.config import Config, by_data
from unrolled.data.encoding.pairs import PairTokenizers
from unrolled.data.encoding.tokenizers import Tokenizer
from unrolled.training.task import Task

__all__ = ["decide"]

UPDATES_AN_EPOCH = 200
MOST_EPOCHS = 60


def decide(task: Task, config: Config) -> dict[str, Any]:
    """Return the settings, by flat name, that the requested ones leave to the data.

    Args:
        task: the task with its data.
        config: the requested settings.
    """
    training, usual = config.training, by_data(config)
    decided: dict[str, Any] = dict(_tokenizers(task, config))
    unit = "batch_images" if config.data.by is not None else "batch_tokens"
    if usual.batch is None:  # task generate
        batch = training.streams * training.chunk
    else:
        batch = getattr(training, unit) or _power_of_two(task.size / UPDATES_AN_EPOCH, *usual.batch)
        if getattr(training, unit) is None:
            decided[unit] = batch
    if training.epochs is None:
        per_epoch = max(1.0, task.size / batch / training.accumulate)
        decided["epochs"] = round(max(usual.epochs, min(MOST_EPOCHS, usual.updates / per_epoch)), 1)
    return decided


def _power_of_two(size: float, least: int, most: int) -> int:
    """Return the power of two nearest to a size, within bounds that are powers of two."""
    return min(most, max(least, int(2 ** round(math.log2(max(1.0, size))))))


def _tokenizers(task: Task, config: Config) -> Iterator[tuple[str, str]]:
    """Yield the settings of the tokenizers that were chosen by the texts."""
    data, made = config.data, task.preprocessor
    if isinstance(made, Tokenizer) and data.tokenizer == "auto":
        yield "tokenizer", made.kind
    elif isinstance(made, PairTokenizers):
        if (data.source_tokenizer or data.tokenizer) == "auto":
            yield "source_tokenizer", made.source.kind
        if data.tokenizer == "auto":
            yield "tokenizer", made.target.kind
