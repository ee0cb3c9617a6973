"""The task classify: a text (or image, see `images`) in, one of the labels that were seen in training out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unrolled.config import Config
from unrolled.data.encoding.batches import Sequences
from unrolled.data.encoding.tokenizers import Tokenizer
from unrolled.data.examples.labelled import Examples, load_examples, read_texts
from unrolled.data.report.labelled import DataReport, inspect
from unrolled.data.splits.labelled import Splits, load_splits
from unrolled.decoding import Classification, Readable, classify, probabilities
from unrolled.errors import ConfigError, DataError
from unrolled.evaluation import ClassificationResult, evaluate_classification
from unrolled.inside import Example
from unrolled.inside.tokens import LIMIT, cut, read
from unrolled.models import Model
from unrolled.runs.card import code
from unrolled.runs.preprocessor import Preprocessor
from unrolled.runs.run import Run
from unrolled.tasks.parts import described, log_read, log_splits, own_test, reading, within
from unrolled.training import classification
from unrolled.training.progress import Score
from unrolled.training.task import OF_PAIRS, Task

__all__ = ["ClassificationRun", "Classified", "Classifier", "Classify"]


class Classifier(Run):
    """A trained classifier, of texts or images: class k is `labels[k]`."""

    PIPELINE: ClassVar[str]
    """What the Hugging Face hub calls its task."""

    def figures(self, sequences: Readable, classes: NDArray[np.int64]) -> ClassificationResult:
        """Compare its answers for N sequences with their classes (N,)."""
        return evaluate_classification(
            self.labels,
            classes,
            probabilities(self.model, sequences),
            sequences.lengths.numpy(),
            majority=self.labels.index(self.record["data"]["majority"]),
        )

    def meanings(self, classes: Iterable[int]) -> list[str]:
        """What classes are called."""
        return [self.labels[k] for k in classes]

    def card(self) -> dict[str, str]:
        """What its model card says of the task."""
        shown = ", ".join(map(code, self.labels[:20])) + ("." if len(self.labels) <= 20 else ", …")
        parts = self.record["data"]["parts"].items()
        return {
            "pipeline": self.PIPELINE,
            "answers": f"It answers with one of {len(self.labels)} labels: {shown}",
            "ask": f"unrolled decode THIS_FOLDER {self.ASK}",
            "data": ", ".join(f"{part} {values['rows']:,}" for part, values in parts)
            + " examples. Labels come from that data and no better than it.",
            "result": _result(self.record["result"]) if self.record["result"] else "",
        }


class ClassificationRun(Classifier):
    """A trained classifier of texts."""

    ASK = '"a text of your own"'
    PIPELINE = "text-classification"

    def decode(self, texts: str | Iterable[str]) -> list[Classification]:
        """Answer for one text or many, in their order.

        Raises:
            DataError: a text is not a string, or is empty.
        """
        texts = [texts] if isinstance(texts, str) else list(texts)
        for number, text in enumerate(texts):
            if fault := _fault(text):
                raise DataError(f"text {number} {fault}", fix="give strings with at least one character")
        return classify(texts, self.labels, probabilities(self.model, self._sequences(texts)), Classification)

    def example(self, given: Any, *, limit: int = LIMIT) -> Example:
        """Return a text, or a list of its tokens, as the model takes it: it is asked for its label."""
        tokens, left = cut(read(self.tokenizer, given), within(limit, self.model.limit))
        if fault := _fault(tokens.text):
            raise DataError(f"the text {fault}", fix="give a string with at least one character, or several")
        return Example(
            text=tokens.text,
            inputs=torch.tensor([tokens.ids]),
            tokens=tokens.tokens,
            spans=tokens.spans,
            steps=torch.tensor([len(tokens.ids) - 1]),
            answers=torch.tensor([-1]),
            meanings=self.meanings,
            cut=left,
        )

    def read_texts(self, path: str | Path, *, text: str | None = None, on_bad_row: str | None = None) -> list[str]:
        """Read the texts of a file that may have no labels, to decode them.

        Args:
            path: a CSV, TSV or JSONL file, or a sample's name.
            text: the column; default: as in training.
            on_bad_row: "stop" or "skip"; default: as in training.

        Raises:
            DataError: a bad row, or a file that cannot be read.
        """
        examples = read_texts(path, reading(self, text=text, on_bad_row=on_bad_row))
        log_read(examples)
        return list(examples.texts())

    def evaluate(
        self, data: object = None, *, text: str | None = None, label: str | None = None, on_bad_row: str | None = None
    ) -> ClassificationResult:
        """Compare the model's answers with the labels of `data`, or of the test part it was trained beside.

        Args:
            data: a path, a sample's name or Python objects; None: the run's own test part.
            text, label: the columns; default: as in training.
            on_bad_row: "stop" or "skip"; default: as in training.

        Raises:
            DataError: a bad row, an unknown label, or (with None) training data that are gone or have changed.
            ConfigError: columns are named without data.
        """
        settings = reading(self, text=text, label=label, on_bad_row=on_bad_row)
        if data is not None:
            examples = load_examples(data, settings, labels=self.labels)
            log_read(examples)
        elif settings != self.config.data:
            raise ConfigError("the run's own test part is read as in training: leave text, label and on_bad_row out")
        else:
            examples = own_test(self, lambda source: load_splits(source, self.config.data).test)
        return self.result(examples)

    def result(self, examples: Examples) -> ClassificationResult:
        """Evaluate on examples that are read already."""
        index = {label: k for k, label in enumerate(self.labels)}
        classes = np.fromiter((index[label] for label in examples.labels()), np.int64, len(examples))
        return self.figures(self._sequences(examples.texts()), classes)

    def _sequences(self, texts: Iterable[str]) -> Sequences:
        return Sequences(self.tokenizer.encode_each(texts))


class Classified(Task):
    """Texts or images with a label each: what the task classify is for both.

    Args:
        train, valid: the sequences of two parts, with the class of each.
    """

    answer = "once"

    def __init__(self, train: tuple[Readable, Tensor], valid: tuple[Readable, Tensor]) -> None:
        self._train, self._valid = train, valid

    @abstractmethod
    def batch_tokens(self, config: Config) -> int:
        """Most tokens in a batch."""

    @property
    def longest(self) -> int:
        """Steps of its longest sequence."""
        return max(
            int(sequences.lengths.max()) for sequences in (self._train[0], self._valid[0]) if len(sequences.lengths)
        )

    def source(self, model: Model, config: Config, device: torch.device) -> classification.ClassificationSource:
        """Batches of sequences of like length."""
        return classification.ClassificationSource(
            *self._train, batch_tokens=self.batch_tokens(config), seed=config.training.seed, device=device
        )

    def loss(self, config: Config, device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
        """Nats of the right class, smoothed and weighted as asked."""
        weights = None
        if config.training.class_weights == "balanced":
            weights = classification.balanced(self._train[1], len(self.labels)).to(device)
        smoothing = config.training.label_smoothing
        return partial(classification.loss_nats, label_smoothing=smoothing, class_weights=weights)

    def score(self, model: Model) -> Score:
        """Mean loss and accuracy on the validation part."""
        return classification.score(model, *self._valid)

    @property
    def majority(self) -> str:
        """The most frequent label of the training part; of several the first."""
        return self.labels[int(np.bincount(self._train[1].numpy()).argmax())]


class Classify(Classified):
    """Texts with a label each, in three parts.

    Args:
        data: what the splits were read from. splits: the parts. tokenizer: learned from the training part.
    """

    run = ClassificationRun
    unused = OF_PAIRS | {"cache", "streams", "chunk", "by", "permutation_seed", "batch_images", "whole_words"}

    def __init__(self, data: object, splits: Splits, tokenizer: Tokenizer) -> None:
        self.name, self.labels, self.preprocessor = splits.train.name, splits.labels, tokenizer
        self.data, self.splits = data, splits

        def sequences(part: Examples) -> tuple[Sequences, Tensor]:
            index = {label: k for k, label in enumerate(splits.labels)}
            classes = np.fromiter((index[label] for label in part.labels()), np.int64, len(part))
            return Sequences(tokenizer.encode_each(part.texts())), torch.from_numpy(classes)

        super().__init__(sequences(splits.train), sequences(splits.valid))

    @classmethod
    def read(cls, data: object, config: Config, preprocessor: Preprocessor | None = None) -> Self:
        """Read examples and split them; see `Task.read`."""
        splits = load_splits(data, config.data)
        log_splits(splits)
        assert preprocessor is None or isinstance(preprocessor, Tokenizer)
        tokenizer = preprocessor or Tokenizer.learn(splits.train.texts(), config.data)
        return cls(data, splits, tokenizer)

    @classmethod
    def inspect(cls, data: object, config: Config) -> DataReport:
        """Columns, counts, splits, lengths, labels; see `unrolled.data.report.labelled`."""
        return inspect(data, config.data, longest=config.training.batch_tokens)

    def batch_tokens(self, config: Config) -> int:
        """As configured."""
        return config.training.batch_tokens

    def record(self) -> dict[str, Any]:
        """The parts, and the most frequent label."""
        return {**described(self.data, self.splits), "majority": self.majority}

    def test(self, run: Run) -> ClassificationResult | None:
        """Accuracy and all else on the test part."""
        assert isinstance(run, ClassificationRun)
        return run.result(self.splits.test) if len(self.splits.test) else None


def _result(result: dict[str, Any]) -> str:
    low, high = result["accuracy_interval"]
    return (
        f"On {result['n']:,} held-out examples: accuracy {result['accuracy']:.1%} "
        f"(95 % interval {low:.1%} to {high:.1%}), macro-F1 {result['macro_f1']:.3f}; "
        f"always answering {code(result['majority_label'])} gets {result['majority_accuracy']:.1%}."
    )


def _fault(text: object) -> str | None:
    """Why a text cannot be decoded, if so."""
    if not isinstance(text, str):
        return f"is a {type(text).__name__}, not a string"
    if not text.strip():
        return "is empty"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds half a character, which is not Unicode"
    return None
