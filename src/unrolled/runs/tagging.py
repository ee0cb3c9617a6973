"""A trained tagger: decode, evaluate, and the example that `explain` reads."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from unrolled.config import DataConfig
from unrolled.data.encoding.words import Subwords
from unrolled.data.examples.sentences import Sentences, load_sentences, read_sentences, string_fault
from unrolled.data.splits.sentences import split_sentences
from unrolled.decoding.options import ClassOptions, documented
from unrolled.decoding.tagging import TaggedSentence, tag, word_probabilities
from unrolled.decoding.temperature import scaled
from unrolled.errors import DataError
from unrolled.evaluation import TaggingResult, evaluate_tagging
from unrolled.evaluation.by_example import ByExample, score_tags
from unrolled.runs.card import calibration, code
from unrolled.runs.reading import allowed_length, class_indices, log_read, read_held_out, reading, separate
from unrolled.runs.run import MAX_LENGTH, Run
from unrolled.strings import normalized, words_of

if TYPE_CHECKING:
    from unrolled.inside import Example

__all__ = ["BETWEEN", "TaggingRun", "log_left_out"]

BETWEEN = "\t"
"""Separator of the words in run.json; no word contains it."""

log = logging.getLogger("unrolled")


class TaggingRun(Run):
    """A trained tagger: label k of a word is `labels[k]`."""

    answer = "each"

    EXAMPLE_INPUT = '"a sentence of your own"'

    @documented(ClassOptions)
    def decode(self, sentences: str | Iterable[str | Sequence[str]], **options: Any) -> list[TaggedSentence]:
        """Return the tags of one sentence or many, in order.

        Args:
            sentences: a sentence, or several. Each is a text with words between spaces, or a list of words.

        Raises:
            DataError: a sentence has no words, or a word is not a string, is empty, or contains a tab or line end.
            ConfigError: an option is unknown, out of range, or not used here.
        """
        chosen = ClassOptions.parse(options, task=self.config.task)
        several = [sentences] if isinstance(sentences, str) else list(sentences)
        words = [_words(sentence, number) for number, sentence in enumerate(several)]
        with self.answering(chosen.precision):
            return tag(words, self.labels, self.probabilities(words), chosen.top)

    def refuse(self, sentence: str | Sequence[str]) -> None:
        """Refuse a sentence that `decode` would refuse.

        Raises:
            DataError: it has no words, or a word that is no string, is empty, or contains a tab or line end.
        """
        _words(sentence, 0)

    def example(self, input: Any, *, max_length: int = MAX_LENGTH) -> Example:
        """Return a sentence, or a list of its words, as an input of the model; the tag of each word is explained."""
        from unrolled.inside import Example
        from unrolled.inside.tokens import read_words, truncate

        words, longest = _words(input, 0), allowed_length(max_length, self.model.max_length)
        tokens, ends = read_words(self.tokenizer, words)
        tokens, note = truncate(
            tokens, max(end + 1 for end in ends if end < longest or end == ends[0]), "subwords of words"
        )
        steps = [end for end in ends if end < len(tokens.ids)]
        return Example(
            text=tokens.text,
            inputs=torch.tensor([tokens.ids]),
            tokens=tokens.tokens,
            spans=tokens.spans,
            steps=torch.tensor(steps),
            answers=torch.full((len(steps),), -1),
            meanings=self.meanings,
            truncated=note,
            temperature=self.temperature,
        )

    def read_texts(self, path: str | Path, *, on_bad_row: str | None = None) -> list[tuple[str, ...]]:
        """Read the words of a file that may have no tags, to decode them.

        Args:
            path: a CoNLL-U file, a file with a word a line, or a sample's name.
            on_bad_row: "stop" or "skip"; default: as in training.

        Raises:
            DataError: a bad sentence, or a file that cannot be read.
        """
        sentences = read_sentences(path, reading(self, on_bad_row=on_bad_row))
        _log_read(sentences)
        return [*sentences.words()]

    def evaluate(
        self,
        data: object = None,
        *,
        label: str | None = None,
        column: int | None = None,
        on_bad_row: str | None = None,
        test_split: bool = False,
        **options: Any,
    ) -> TaggingResult:
        """Compare the model's tags with those of `data`, by default of the run's own test split.

        Args:
            data: a path, a sample's name or (words, tags) pairs; None: the run's own test split.
            label: the column of CoNLL-U that holds the tags; default: as in training.
            column: the number of that column in other files; default: as in training.
            on_bad_row: "stop" or "skip"; default: as in training.
            test_split: whether `data` are those of the training, of which the test split is used.
            options: precision, "float32" (default) or "int8".

        Raises:
            DataError: a bad sentence, an unknown tag, or (with None) training data that are missing or have changed.
            ConfigError: a column is named without data, or another option was given.
        """
        settings = {"label": label, "column": column, "on_bad_row": on_bad_row}
        result: TaggingResult = self.evaluated(data, test_split, settings | options)
        return result

    def held_out(self, data: object, test_split: bool, options: Mapping[str, Any]) -> dict[str, Any]:
        """Read the sentences of an evaluation; return the keyword arguments of `result` and `scores`."""
        settings, _ = separate(self, options, "label", "column", "on_bad_row")

        def load(data: object, config: DataConfig) -> Sentences:
            sentences = load_sentences(data, config, labels=self.labels)
            _log_read(sentences)
            return sentences

        def load_test(source: object) -> Sentences:
            return split_sentences(source, self.config.data).test

        return {"sentences": read_held_out(self, data, test_split, settings, load=load, load_test=load_test)}

    def result(self, sentences: Sentences) -> TaggingResult:
        """Evaluate on sentences that are already read."""
        index = {label: k for k, label in enumerate(self.labels)}
        data = self.record["data"]
        usual = {word: index[label] for label, words in data["words"].items() for word in words.split(BETWEEN)}
        sentence_words = sentences.words()
        every = [normalized(word, self.config.data.normalize) for word in chain.from_iterable(sentence_words)]
        return evaluate_tagging(
            self.labels,
            class_indices(self, sentences.tags()),
            self._unscaled(sentence_words),
            np.array([len(words) for words in sentence_words], dtype=np.int64),
            seen=np.array([word in usual for word in every], dtype=bool),
            baseline=np.array([usual.get(word, index[data["majority"]]) for word in every], dtype=np.int64),
            temperature=self.temperature,
        )

    def scores(self, sentences: Sentences) -> ByExample:
        """Return the right words of each sentence, times sentences / words."""
        answers, words = self.answers(sentences), sentences.words()
        return score_tags(self.labels, class_indices(self, sentences.tags()), answers, words)

    def answers(self, sentences: Sentences) -> NDArray[np.int64]:
        """Return the tag that is answered for each word, (W,)."""
        return np.asarray(self._unscaled(sentences.words()).argmax(axis=1), dtype=np.int64)

    def probabilities(self, sentences: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        """Return the probability of each of K labels for the W words of sentences, (W, K), at the run's temperature."""
        return scaled(self._unscaled(sentences), self.temperature)

    def _unscaled(self, sentences: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        """Return the probabilities before the run's temperature."""
        if self.members:
            return self.averaged(lambda run: run.probabilities(sentences))
        return word_probabilities(self.model, Subwords(self.tokenizer, sentences))

    def card(self) -> dict[str, str]:
        """Return the fields of its model card that depend on the task."""
        shown = ", ".join(map(code, self.labels[:20])) + ("." if len(self.labels) <= 20 else ", …")
        splits = self.record["data"]["splits"].items()
        return {
            "pipeline": "token-classification",
            "answers": f"It gives each word of a sentence one of {len(self.labels)} tags: {shown}",
            "command": f"unrolled decode THIS_FOLDER {self.EXAMPLE_INPUT}",
            "data": ", ".join(f"{split} {values['rows']:,}" for split, values in splits)
            + " sentences. Tags come from that data and are no better than it.",
            "result": _result(self.record["result"]) + calibration(self.record) if self.record["result"] else "",
        }


def _words(sentence: object, number: int) -> tuple[str, ...]:
    """Return the words of a sentence to tag, or raise DataError."""
    fix = "give text with words between spaces, or a list of words"
    if isinstance(sentence, str):
        sentence = words_of(sentence)
    if not isinstance(sentence, (list, tuple)):
        raise DataError(f"sentence {number} is a {type(sentence).__name__}", fix=fix)
    if not sentence:
        raise DataError(f"sentence {number} is empty", fix=fix)
    for position, word in enumerate(sentence):
        if fault := string_fault(word):
            raise DataError(f"word {position} of sentence {number} {fault}", fix=fix)
    return tuple(sentence)


def _log_read(sentences: Sentences) -> None:
    log_read(sentences)
    log_left_out(sentences)


def log_left_out(sentences: Sentences) -> None:
    """Log the number of lines of the sentences that are not words."""
    if any((counts := sentences.left_out()).values()):
        log.info("  left out, being no words: %s", ", ".join(f"{count:,} {kind}" for kind, count in counts.items()))


def _result(result: dict[str, Any]) -> str:
    low, high = result["accuracy_interval"]
    unseen = ""
    if result["unseen"]:
        unseen = f", {result['unseen_accuracy']:.1%} on the {result['unseen']:,} that training never saw"
    spans = ""
    if found := result.get("spans"):
        low_f1, high_f1 = found["f1_interval"]
        spans = (
            f" The {found['spans']:,} spans: precision {found['precision']:.1%}, recall {found['recall']:.1%}, F1 "
            f"{found['f1']:.1%} (95 % interval {low_f1:.1%} to {high_f1:.1%})."
        )
    return (
        f"On {result['words']:,} held-out words in {result['sentences']:,} sentences: accuracy "
        f"{result['accuracy']:.1%} (95 % interval {low:.1%} to {high:.1%}){unseen}; the most frequent tag of each word "
        f"gets {result['baseline_accuracy']:.1%}.{spans}"
    )
