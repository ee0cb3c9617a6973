"""The task translate: a target text for a source text, of any length and in any order."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor

from unrolled.config import BestBy, Config
from unrolled.data.encoding.pairs import PairSequences, PairTokenizers, distinct_sources, encode
from unrolled.data.examples.pairs import SIDES, PairedTexts
from unrolled.data.report.checks import leakage_issues
from unrolled.data.report.issues import Report
from unrolled.data.report.pairs import SourceRepeats, inspect_pairs, ruinous_issues
from unrolled.data.splits.pairs import PairSplits, split_pairs
from unrolled.data.splits.stored import Content, content_of, prefixed, splits_of, within
from unrolled.decoding.sampling import GREEDY
from unrolled.decoding.translation import translate
from unrolled.evaluation import TranslationResult
from unrolled.evaluation.baselines import BaselineScores, timed
from unrolled.evaluation.by_example import ByExample, score_translations
from unrolled.evaluation.translation import bleu
from unrolled.models import Model, Pairs
from unrolled.runs.preprocessor import Preprocessor
from unrolled.runs.run import Run
from unrolled.runs.translation import TranslationRun, refuse_longer
from unrolled.strings import normalized
from unrolled.tasks.split_record import FromCache, data_record, log_issues, log_splits
from unrolled.training import generation, translation
from unrolled.training.progress import Score
from unrolled.training.task import Task

__all__ = ["Translate"]

log = logging.getLogger("unrolled")


class Translate(FromCache, Task):
    """The task translate.

    Args:
        data: the data, as the user named them.
        splits: read from it, without the pairs that no model can take.
        tokenizers: the tokenisers of both sides, learned from the training split.
        pairs: the splits as ids, by name.
    """

    answer = "each"
    best_by = ("loss", "accuracy", "bleu")
    run = TranslationRun
    labels = ()
    smallest = Pairs(1, 1)

    def __init__(
        self, data: object, splits: PairSplits, tokenizers: PairTokenizers, pairs: dict[str, PairSequences]
    ) -> None:
        self.name, self.preprocessor = splits.train.name, tokenizers
        self.data, self.splits, self.pairs = data, splits, pairs

    @classmethod
    def read(cls, data: object, config: Config, preprocessor: Preprocessor | None = None) -> Self:
        """Read pairs, split them and encode them; see `Task.read`."""
        splits = split_pairs(data, config.data)
        assert preprocessor is None or isinstance(preprocessor, PairTokenizers)
        tokenizers = preprocessor or PairTokenizers.learn(splits.train, config.data)
        encoded = {name: encode(split, tokenizers, config.data) for name, split in splits.named().items()}
        train, valid, test = (split for split, _ in encoded.values())
        splits = replace(splits, train=train, valid=valid, test=test)
        log_splits(splits)
        issues = log_issues(ruinous_issues(data, config.data, splits))
        issues += log_issues(leakage_issues(lambda filled: SourceRepeats(filled, ("",)), splits))
        task = cls(data, splits, tokenizers, {name: pairs for name, (_, pairs) in encoded.items()})
        task.issues = issues
        return task

    def content(self) -> Content:
        """Return the splits and their ids; see `Task.content`."""
        arrays, facts = content_of(self.splits)
        for name, pairs in self.pairs.items():
            for side, each in pairs.arrays().items():
                arrays = {**arrays, **prefixed(f"{name} {side} ids", each)}
        return Content(arrays, {**facts, "issues": [*self.issues]})

    @classmethod
    def restore(cls, data: object, config: Config, preprocessor: Preprocessor, content: Content) -> Self:
        """Return the task with data that are in the cache; see `Task.restore`."""
        splits = splits_of(content, PairSplits, PairedTexts)
        pairs = {
            name: PairSequences.of({side: within(f"{name} {side} ids", content.arrays) for side in SIDES})
            for name in splits.named()
        }
        assert isinstance(preprocessor, PairTokenizers)
        task = cls(data, splits, preprocessor, pairs)
        task.issues = content.facts["issues"]
        return task

    @classmethod
    def inspect(cls, data: object, config: Config) -> Report:
        """Return pairs, lengths and vocabulary of both sides; see `unrolled.data.report.pairs`."""
        return inspect_pairs(data, config.data)

    @property
    def size(self) -> int:
        """The number of tokens of both sides of the training split."""
        return int(self.pairs["train"].lengths.sum())

    def typical_lengths(self, config: Config) -> tuple[int, int]:
        """Return the median lengths of sources, and of targets with <bos>."""
        source, target = self.pairs["train"].lengths.median(dim=0).values.tolist()
        return int(source), int(target)

    def loader(self, model: Model, config: Config, device: torch.device) -> translation.TranslationLoader:
        """Return batches of pairs of similar lengths."""
        training = config.training
        assert training.batch_tokens is not None, "decided by the data"
        return translation.TranslationLoader(
            self.pairs["train"], batch_tokens=training.batch_tokens, seed=training.seed, device=device
        )

    def refuse_longer(self, model: Model, name: str) -> None:
        """Refuse pairs that are longer than the model's context window; see `Task.refuse_longer`."""
        for split_name, split in self.splits.named().items():
            refuse_longer(model, split, self.pairs[split_name])

    def loss(self, config: Config, device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
        """Return the nats of the right tokens, smoothed as configured."""
        return partial(generation.loss_nats, label_smoothing=config.training.label_smoothing)

    def score(self, model: Model, *, by: BestBy = "loss") -> Score:
        """Return mean loss and accuracy on the target tokens of the validation split; with by = "bleu" also BLEU."""
        score = translation.score(model, self.pairs["valid"])
        return score if by != "bleu" else replace(score, bleu=self._bleu(model))

    def _bleu(self, model: Model) -> float:
        """Return BLEU of greedy translations of the validation split, with all targets of a source as references."""
        references = self.splits.valid.references()
        first = {source: i for i, source in reversed([*enumerate(self.splits.valid.sources())])}
        sources = self.pairs["valid"].sources.select(first[source] for source in references)
        assert isinstance(self.preprocessor, PairTokenizers)
        target = self.preprocessor.target
        answers = translate(model, target, list(references), sources, GREEDY, max_length=self._longest_target + 1)
        texts = [[normalized(text, target.normalize) for text in targets] for targets in references.values()]
        return bleu([answer.text for answer in answers], texts)

    @property
    def _longest_target(self) -> int:
        """The number of tokens of the longest target of the training split."""
        return int(self.pairs["train"].tokens[:, 1].max())

    def record(self) -> dict[str, Any]:
        """Return the splits, and the number of tokens of the longest target."""
        return {**data_record(self.data, self.splits), "longest_target": self._longest_target}

    def test_inputs(self) -> Sequence[str]:
        """Return the distinct sources of the test split."""
        return [*self.splits.test.references()]

    def test(self, run: Run) -> TranslationResult | None:
        """Return BLEU, edit rates and the other measures on the test split, of greedy decoding."""
        assert isinstance(run, TranslationRun)
        return run.result(self.splits.test, self.pairs["test"]) if len(self.splits.test) else None

    def baselines(self) -> list[BaselineScores]:
        """Return the source itself as the answer, and the most frequent target of the training split."""
        if not len(self.splits.test):
            return []
        assert isinstance(self.preprocessor, PairTokenizers)
        form = self.preprocessor.target.normalize
        test = distinct_sources(self.splits.test, self.pairs["test"], form)
        ((usual, _),) = Counter(self.splits.train.targets()).most_common(1)

        def scores(answers: list[str]) -> ByExample:
            texts = [normalized(answer, form) for answer in answers]
            return score_translations(texts, test.references, test.sequences.lengths.numpy(), test.sources)

        return [
            timed("copy of the source", lambda: scores(test.sources)),
            timed("most frequent target", lambda: scores([usual] * len(test.sources))),
        ]
