"""The task translate: a sequence in, another sequence out, of any length and in any order; both are texts."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor

from unrolled.config import Config
from unrolled.data.encoding.pairs import PairSequences, PairTokenizers, encode
from unrolled.data.report.pairs import PairReport, inspect_pairs
from unrolled.data.splits.pairs import PairSplits, split_pairs
from unrolled.evaluation import TranslationResult
from unrolled.models import Model, Pairs
from unrolled.runs.preprocessor import Preprocessor
from unrolled.runs.run import Run
from unrolled.runs.translation import TranslationRun, refuse_longer
from unrolled.tasks.splits import data_record, log_splits
from unrolled.training import generation, translation
from unrolled.training.progress import Score
from unrolled.training.task import Task

__all__ = ["Translate"]

log = logging.getLogger("unrolled")


class Translate(Task):
    """Pairs of a source and a target, in three parts.

    Args:
        data: what the splits were read from. splits: the parts, each but for what a model cannot take. tokenizers:
            learned from the training split. pairs: the parts as ids.
    """

    answer = "each"
    run = TranslationRun
    labels = ()
    smallest = Pairs(1, 1)
    unused = frozenset(
        {"text", "label", "by", "permutation_seed", "batch_images", "whole_words"}
        | {"cache", "streams", "chunk", "class_weights"}
    )

    def __init__(
        self, data: object, splits: PairSplits, tokenizers: PairTokenizers, pairs: dict[str, PairSequences]
    ) -> None:
        self.name, self.preprocessor = splits.train.name, tokenizers
        self.data, self.splits, self.pairs = data, splits, pairs

    @classmethod
    def read(cls, data: object, config: Config, preprocessor: Preprocessor | None = None) -> Self:
        """Read pairs, split them and turn them into ids; see `Task.read`."""
        splits = split_pairs(data, config.data)
        assert preprocessor is None or isinstance(preprocessor, PairTokenizers)
        tokenizers = preprocessor or PairTokenizers.learn(splits.train, config.data)
        made = {name: encode(part, tokenizers, config.data) for name, part in splits.named().items()}
        train, valid, test = (part for part, _ in made.values())
        splits = replace(splits, train=train, valid=valid, test=test)
        log_splits(splits)
        return cls(data, splits, tokenizers, {name: pairs for name, (_, pairs) in made.items()})

    @classmethod
    def inspect(cls, data: object, config: Config) -> PairReport:
        """Pairs, lengths and vocabulary of both sides; see `unrolled.data.report.pairs`."""
        return inspect_pairs(data, config.data)

    def loader(self, model: Model, config: Config, device: torch.device) -> translation.TranslationLoader:
        """Batches of pairs of like length."""
        training = config.training
        return translation.TranslationLoader(
            self.pairs["train"], batch_tokens=training.batch_tokens, seed=training.seed, device=device
        )

    def refuse_longer(self, model: Model, name: str) -> None:
        """Refuse pairs that do not fit into the model's window; see `Task.refuse_longer`."""
        for name, part in self.splits.named().items():
            refuse_longer(model, part, self.pairs[name])

    def loss(self, config: Config, device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
        """Nats of the right tokens, smoothed as asked."""
        return partial(generation.loss_nats, label_smoothing=config.training.label_smoothing)

    def score(self, model: Model) -> Score:
        """Mean loss on the target tokens of the validation split, and the share that were the first guess."""
        return translation.score(model, self.pairs["valid"])

    def record(self) -> dict[str, Any]:
        """The parts, and how many tokens the longest target has."""
        longest = int(self.pairs["train"].tokens[:, 1].max())
        return {**data_record(self.data, self.splits), "longest_target": longest}

    def test(self, run: Run) -> TranslationResult | None:
        """BLEU, edit rates and all else on the test split, by the most probable token at each step."""
        assert isinstance(run, TranslationRun)
        return run.result(self.splits.test, self.pairs["test"]) if len(self.splits.test) else None
