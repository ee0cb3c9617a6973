"""The task tag: one of the tags of the training split for each word of a sentence."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from itertools import chain
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unrolled.config import BestBy, Config, most_batch_tokens
from unrolled.data.encoding.choose import learn
from unrolled.data.encoding.tokenizers import Tokenizer, marked
from unrolled.data.encoding.words import Subwords
from unrolled.data.examples.sentences import Sentences
from unrolled.data.reading.arrays import indices_among
from unrolled.data.report.checks import leakage_issues
from unrolled.data.report.issues import Report
from unrolled.data.report.sentences import SentenceRepeats, inspect_sentences, ruinous_issues
from unrolled.data.splits.sentences import TagSplits, split_sentences
from unrolled.data.splits.stored import Content, content_of, prefixed, splits_of, within
from unrolled.decoding.tagging import word_probabilities
from unrolled.evaluation import TaggingResult
from unrolled.evaluation.baselines import Baseline, BaselineScores, compare, timed
from unrolled.evaluation.by_example import score_tags
from unrolled.models import Model
from unrolled.runs.preprocessor import Preprocessor
from unrolled.runs.run import Run
from unrolled.runs.tagging import BETWEEN, TaggingRun, log_left_out
from unrolled.strings import normalized
from unrolled.tasks.split_record import FromCache, data_record, log_issues, log_splits, log_unknown
from unrolled.training import tagging
from unrolled.training.classification import class_weights
from unrolled.training.progress import Score
from unrolled.training.task import Answers, Task

__all__ = ["Tag"]

USUAL = "most frequent tag of each word"

log = logging.getLogger("unrolled")

Encoded = tuple[Subwords, Tensor]
"""The sentences of a split as ids, and the classes of their words."""


class Tag(FromCache, Task):
    """The task tag.

    Args:
        data: the data, as the user named them.
        splits: the splits, read from it.
        tokenizer: the tokeniser, learned from the words of the training split.
        usual: the most frequent tag of each word of the training split, if it is known.
        encoded: the training and the validation split as ids, with the classes of their words, if they are known.
    """

    answer = "each"
    best_by = ("loss", "accuracy", "macro_f1")
    run = TaggingRun

    def __init__(
        self,
        data: object,
        splits: TagSplits,
        tokenizer: Tokenizer,
        usual: dict[str, str] | None = None,
        encoded: tuple[Encoded, Encoded] | None = None,
    ) -> None:
        self.name, self.labels, self.preprocessor = splits.train.name, splits.labels, tokenizer
        self.data, self.splits = data, splits
        self._usual = usual if usual is not None else splits.train.usual_tags(tokenizer.normalize)
        self._train, self._valid = encoded or (self._subwords(splits.train), self._subwords(splits.valid))

    @classmethod
    def read(cls, data: object, config: Config, preprocessor: Preprocessor | None = None) -> Self:
        """Read sentences and split them; see `Task.read`."""
        splits = split_sentences(data, config.data)
        log_splits(splits)
        if splits.scheme:
            log.info("tags of spans: %s", splits.scheme)
        issues = log_issues(ruinous_issues(config.data, splits))
        issues += log_issues(leakage_issues(SentenceRepeats.of, splits))
        for loaded in splits.loaded:
            log_left_out(loaded)
        assert preprocessor is None or isinstance(preprocessor, Tokenizer)
        tokenizer = preprocessor or learn(
            chain.from_iterable(map(marked, splits.train.words())), config.data, usual="bpe"
        )
        task = cls(data, splits, tokenizer)
        task.issues = issues + log_unknown(train=task._train[0], valid=task._valid[0])
        return task

    def content(self) -> Content:
        """Return the splits, their ids and classes, and the most frequent tags; see `Task.content`."""
        arrays, facts = content_of(self.splits)
        for name, (subwords, classes) in (("train", self._train), ("valid", self._valid)):
            arrays = {**arrays, **prefixed(f"{name} ids", subwords.arrays()), f"{name} targets": classes.numpy()}
        return Content(arrays, {**facts, "issues": [*self.issues], "usual": self._usual})

    @classmethod
    def restore(cls, data: object, config: Config, preprocessor: Preprocessor, content: Content) -> Self:
        """Return the task with data that are in the cache; see `Task.restore`."""
        arrays, facts = content

        def split(name: str) -> Encoded:
            return Subwords.of(within(f"{name} ids", arrays)), torch.from_numpy(arrays[f"{name} targets"])

        assert isinstance(preprocessor, Tokenizer)
        splits = splits_of(content, TagSplits, Sentences)
        task = cls(data, splits, preprocessor, facts["usual"], (split("train"), split("valid")))
        task.issues = facts["issues"]
        return task

    @classmethod
    def inspect(cls, data: object, config: Config) -> Report:
        """Return sentences, words, subwords and tags of every split; see `unrolled.data.report.sentences`."""
        return inspect_sentences(data, config.data, longest=most_batch_tokens(config))

    @property
    def size(self) -> int:
        """The number of subwords of the training split."""
        return int(self._train[0].lengths.sum())

    @property
    def longest(self) -> int:
        """The number of subwords of the longest sentence."""
        return max(
            int(subwords.lengths.max()) for subwords in (self._train[0], self._valid[0]) if len(subwords.lengths)
        )

    def typical_lengths(self, config: Config) -> tuple[int, int]:
        """Return 0, and the median length of the sentences in subwords."""
        return 0, int(self._train[0].lengths.median())

    def loader(self, model: Model, config: Config, device: torch.device) -> tagging.TaggingLoader:
        """Return batches of sentences of similar lengths."""
        training = config.training
        assert training.batch_tokens is not None, "decided by the data"
        return tagging.TaggingLoader(
            *self._train, batch_tokens=training.batch_tokens, seed=training.seed, device=device
        )

    def loss(self, config: Config, device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
        """Return the nats of the right tags, smoothed and weighted as configured."""
        kind, weights = config.training.class_weights, None
        if kind != "none":
            weights = class_weights(self._train[1], len(self.labels), kind).to(device)
        return partial(tagging.loss_nats, label_smoothing=config.training.label_smoothing, class_weights=weights)

    def score(self, model: Model, *, by: BestBy = "loss") -> Score:
        """Return mean loss and accuracy on the words of the validation split."""
        return tagging.score(model, *self._valid)

    def validation(self, model: Model) -> Answers:
        """Return the probabilities and the right tags of the words of the validation split."""
        subwords, classes = self._valid
        return word_probabilities(model, subwords), classes.long().numpy()

    def record(self) -> dict[str, Any]:
        """Return the splits, the most frequent tag, and the words of the training split by their most frequent tag."""
        words: dict[str, list[str]] = {label: [] for label in self.labels}
        for word, label in self._usual.items():
            words[label].append(word)
        joined = {label: BETWEEN.join(these) for label, these in words.items() if these}
        return {**data_record(self.data, self.splits), "majority": self._majority, "words": joined}

    def test_inputs(self) -> Sequence[str]:
        """Return the sentences of the test split."""
        return [" ".join(words) for words in self.splits.test.words()]

    def test(self, run: Run) -> TaggingResult | None:
        """Return accuracy and the other measures on the test split."""
        assert isinstance(run, TaggingRun)
        return run.result(self.splits.test) if len(self.splits.test) else None

    def baseline(self, run: Run) -> Baseline | None:
        """Return the most frequent tag of each word next to the run; of an unseen word, the most frequent of all."""
        test = self.splits.test
        if not len(test):
            return None
        answers, seconds = self._usual_answers()
        subwords, truth = self._subwords(test)
        right = word_probabilities(run.model, subwords).argmax(axis=1) == truth.numpy()
        lengths = np.array([len(sentence) for sentence in test.words()])
        return compare(USUAL, right, answers == truth.numpy(), seconds, lengths=lengths)

    def baselines(self) -> list[BaselineScores]:
        """Return the most frequent tag, and that of each word; of an unseen word, the most frequent of all."""
        test = self.splits.test
        if not len(test):
            return []
        truth = self._classes(test).long().numpy()
        always = np.full(len(truth), self.labels.index(self._majority))
        answers, seconds = self._usual_answers()
        return [
            timed("most frequent tag", lambda: score_tags(self.labels, truth, always, test.words())),
            BaselineScores(USUAL, score_tags(self.labels, truth, answers, test.words()), seconds),
        ]

    def _usual_answers(self) -> tuple[NDArray[np.int64], float]:
        """Return the most frequent tag of each word of the test split (W,), and the seconds that it took."""
        began = time.perf_counter()
        assert isinstance(self.preprocessor, Tokenizer)
        form, index = self.preprocessor.normalize, {label: k for k, label in enumerate(self.labels)}
        words = (normalized(word, form) for word in chain.from_iterable(self.splits.test.words()))
        answers = np.array([index[self._usual.get(word, self._majority)] for word in words], dtype=np.int64)
        return answers, time.perf_counter() - began

    @cached_property
    def _majority(self) -> str:
        """The most frequent tag of the training split."""
        return self.labels[int(torch.bincount(self._train[1]).argmax())]

    def _subwords(self, split: Sentences) -> tuple[Subwords, Tensor]:
        """Return the sentences of a split as subwords, and the classes of their words."""
        assert isinstance(self.preprocessor, Tokenizer)
        return Subwords(self.preprocessor, split.words()), self._classes(split)

    def _classes(self, split: Sentences) -> Tensor:
        """Return the classes of the words of a split, (W,)."""
        return torch.from_numpy(indices_among(self.labels, split.tags()))
