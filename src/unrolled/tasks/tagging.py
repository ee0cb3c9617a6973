"""The task tag: one of the tags of the training split for each word of a sentence."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import Any, Self

import torch
from torch import Tensor

from unrolled.config import Config
from unrolled.data.encoding.tokenizers import Tokenizer, marked
from unrolled.data.encoding.words import Subwords
from unrolled.data.examples.sentences import Sentences
from unrolled.data.report.sentences import TagReport, inspect_sentences, ruinous_issues
from unrolled.data.splits.sentences import TagSplits, split_sentences
from unrolled.evaluation import TaggingResult
from unrolled.models import Model
from unrolled.runs.preprocessor import Preprocessor
from unrolled.runs.run import Run
from unrolled.runs.tagging import BETWEEN, TaggingRun, log_left_out
from unrolled.tasks.split_record import data_record, log_issues, log_splits
from unrolled.training import tagging
from unrolled.training.classification import balanced
from unrolled.training.progress import Score
from unrolled.training.task import OF_LABEL_SETS, OF_PAIRS, Task

__all__ = ["Tag"]


log = logging.getLogger("unrolled")


class Tag(Task):
    """The task tag.

    Args:
        data: the argument of the user. splits: read from it. tokenizer: learned from the words of the training split.
    """

    answer = "each"
    run = TaggingRun
    unused = (
        OF_PAIRS
        | OF_LABEL_SETS
        | {"text", "header", "cache", "by", "permutation_seed", "batch_images", "streams", "chunk"}
    )

    def __init__(self, data: object, splits: TagSplits, tokenizer: Tokenizer) -> None:
        self.name, self.labels, self.preprocessor = splits.train.name, splits.labels, tokenizer
        self.data, self.splits = data, splits

        def subwords(split: Sentences) -> tuple[Subwords, Tensor]:
            index = {label: k for k, label in enumerate(splits.labels)}
            classes = [index[label] for label in split.tags()]
            words = Subwords(tokenizer, split.words())
            return words, torch.tensor(classes, dtype=torch.long)

        self._train, self._valid = subwords(splits.train), subwords(splits.valid)

    @classmethod
    def read(cls, data: object, config: Config, preprocessor: Preprocessor | None = None) -> Self:
        """Read sentences and split them; see `Task.read`."""
        splits = split_sentences(data, config.data)
        log_splits(splits)
        log_issues(ruinous_issues(config.data, splits))
        for loaded in splits.loaded:
            log_left_out(loaded)
        assert preprocessor is None or isinstance(preprocessor, Tokenizer)
        tokenizer = preprocessor or Tokenizer.learn(chain.from_iterable(map(marked, splits.train.words())), config.data)
        return cls(data, splits, tokenizer)

    @classmethod
    def inspect(cls, data: object, config: Config) -> TagReport:
        """Return sentences, words, subwords and tags of every split; see `unrolled.data.report.sentences`."""
        return inspect_sentences(data, config.data, longest=config.training.batch_tokens)

    @property
    def longest(self) -> int:
        """The number of subwords of the longest sentence."""
        return max(
            int(subwords.lengths.max()) for subwords in (self._train[0], self._valid[0]) if len(subwords.lengths)
        )

    def loader(self, model: Model, config: Config, device: torch.device) -> tagging.TaggingLoader:
        """Return batches of sentences of similar lengths."""
        training = config.training
        return tagging.TaggingLoader(
            *self._train, batch_tokens=training.batch_tokens, seed=training.seed, device=device
        )

    def loss(self, config: Config, device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
        """Return the nats of the right tags, smoothed and weighted as configured."""
        weights = None
        if config.training.class_weights == "balanced":
            weights = balanced(self._train[1], len(self.labels)).to(device)
        return partial(tagging.loss_nats, label_smoothing=config.training.label_smoothing, class_weights=weights)

    def score(self, model: Model) -> Score:
        """Return mean loss and accuracy on the words of the validation split."""
        return tagging.score(model, *self._valid)

    def record(self) -> dict[str, Any]:
        """Return the splits, the most frequent tag, and the words of the training split by their most frequent tag."""
        words: dict[str, list[str]] = {label: [] for label in self.labels}
        assert isinstance(self.preprocessor, Tokenizer)
        for word, label in self.splits.train.usual_tags(self.preprocessor.normalize).items():
            words[label].append(word)
        majority = self.labels[int(torch.bincount(self._train[1]).argmax())]
        joined = {label: BETWEEN.join(these) for label, these in words.items() if these}
        return {**data_record(self.data, self.splits), "majority": majority, "words": joined}

    def test(self, run: Run) -> TaggingResult | None:
        """Return accuracy and the other measures on the test split."""
        assert isinstance(run, TaggingRun)
        return run.result(self.splits.test) if len(self.splits.test) else None
