"""A trained classifier of texts: decode, evaluate, and the example that `explain` reads."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from unrolled.config import DataConfig
from unrolled.data.encoding.batches import Sequences
from unrolled.data.examples.labelled import Examples, load_examples, read_texts
from unrolled.data.splits.labelled import load_splits
from unrolled.decoding.classification import Classification, Readable, classify, probabilities
from unrolled.decoding.options import Options
from unrolled.errors import ConfigError, DataError
from unrolled.evaluation import ClassificationResult, evaluate_classification
from unrolled.runs.card import code
from unrolled.runs.reading import allowed_length, class_indices, log_read, own_test, reading
from unrolled.runs.run import MAX_LENGTH, Run
from unrolled.strings import NOT_UNICODE, has_surrogate

if TYPE_CHECKING:
    from unrolled.inside import Example

__all__ = ["ClassificationRun", "Classifier"]


class Classifier(Run):
    """A trained classifier, of texts or images: class k is `labels[k]`."""

    answer = "once"

    PIPELINE: ClassVar[str]
    """Name of its task on the Hugging Face hub."""

    @abstractmethod
    def sequences(self, inputs: Any) -> Readable:
        """Return inputs, N texts or images, as the model reads them."""

    def probabilities(self, inputs: Any, sequences: Readable) -> NDArray[np.float64]:
        """Return the probability of each class for N inputs, (N, K). sequences: the inputs as its own model's."""
        return self.averaged(lambda run: probabilities(run.model, sequences if run is self else run.sequences(inputs)))

    def figures(self, inputs: Any, classes: NDArray[np.int64]) -> ClassificationResult:
        """Return the result for N inputs with true classes (N,)."""
        sequences = self.sequences(inputs)
        return evaluate_classification(
            self.labels,
            classes,
            self.probabilities(inputs, sequences),
            sequences.lengths.numpy(),
            majority=self.labels.index(self.record["data"]["majority"]),
        )

    def meanings(self, classes: Iterable[int]) -> list[str]:
        """Return the labels of classes."""
        return [self.labels[k] for k in classes]

    def card(self) -> dict[str, str]:
        """Return the fields of its model card that depend on the task."""
        shown = ", ".join(map(code, self.labels[:20])) + ("." if len(self.labels) <= 20 else ", …")
        splits = self.record["data"]["splits"].items()
        return {
            "pipeline": self.PIPELINE,
            "answers": f"It answers with one of {len(self.labels)} labels: {shown}",
            "command": f"unrolled decode THIS_FOLDER {self.EXAMPLE_INPUT}",
            "data": ", ".join(f"{split} {values['rows']:,}" for split, values in splits)
            + " examples. Labels come from that data and are no better than it.",
            "result": _result(self.record["result"]) if self.record["result"] else "",
        }


class ClassificationRun(Classifier):
    """A trained classifier of texts."""

    EXAMPLE_INPUT = '"a text of your own"'
    PIPELINE = "text-classification"

    def decode(self, texts: str | Iterable[str], **options: Any) -> list[Classification]:
        """Return the answer for one text or many, in order.

        Args:
            texts: a text, or several.
            options: none; refused.

        Raises:
            DataError: a text is not a string, or is empty.
            ConfigError: an option was given.
        """
        Options.parse(options, task=self.config.task)
        texts = [texts] if isinstance(texts, str) else list(texts)
        for number, text in enumerate(texts):
            if fault := _fault(text):
                raise DataError(f"text {number} {fault}", fix="give strings with at least one character")
        return classify(texts, self.labels, self.probabilities(texts, self.sequences(texts)), Classification)

    def example(self, input: Any, *, max_length: int = MAX_LENGTH) -> Example:
        """Return a text, or a list of its tokens, as an input of the model; its label is explained."""
        from unrolled.inside import Example
        from unrolled.inside.tokens import read, truncate

        tokens, note = truncate(read(self.tokenizer, input), allowed_length(max_length, self.model.max_length))
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
            truncated=note,
        )

    def read_texts(
        self, path: str | Path, *, text: str | None = None, header: bool | None = None, on_bad_row: str | None = None
    ) -> list[str]:
        """Read the texts of a file that may have no labels, to decode them.

        Args:
            path: a CSV, TSV or JSONL file, or a sample's name.
            text: the column; default: as in training.
            header: whether the first row of a CSV or TSV file names the columns; default: as in training.
            on_bad_row: "stop" or "skip"; default: as in training.

        Raises:
            DataError: a bad row, or a file that cannot be read.
        """
        examples = read_texts(path, reading(self, text=text, header=header, on_bad_row=on_bad_row))
        log_read(examples)
        return list(examples.texts())

    def evaluate(
        self,
        data: object = None,
        *,
        text: str | None = None,
        label: str | None = None,
        header: bool | None = None,
        on_bad_row: str | None = None,
        test_split: bool = False,
        **options: Any,
    ) -> ClassificationResult:
        """Compare the model's answers with the labels of `data`, by default of the run's own test split.

        Args:
            data: a path, a sample's name or Python objects; None: the run's own test split.
            text, label: the columns; default: as in training.
            header: whether the first row of a CSV or TSV file names the columns; default: as in training.
            on_bad_row: "stop" or "skip"; default: as in training.
            test_split: whether `data` are those of the training, of which the test split is used.
            options: none; refused.

        Raises:
            DataError: a bad row, an unknown label, or (with None) training data that are missing or have changed.
            ConfigError: columns are named without data, or an option was given.
        """
        Options.parse(options, task=self.config.task, settings=DataConfig.model_fields)
        settings = reading(self, text=text, label=label, header=header, on_bad_row=on_bad_row)
        if data is not None and not test_split:
            examples = load_examples(data, settings, labels=self.labels)
            log_read(examples)
        elif settings != self.config.data:
            raise ConfigError(
                "the run's own test split is read as in training: leave text, label, header and on_bad_row out"
            )
        else:
            examples = own_test(self, lambda source: load_splits(source, self.config.data).test, data)
        return self.result(examples)

    def result(self, examples: Examples) -> ClassificationResult:
        """Evaluate on examples that are already read."""
        return self.figures(examples, class_indices(self, examples.labels()))

    def sequences(self, inputs: list[str] | Examples) -> Sequences:
        """Return N texts, or the texts of examples, as ids."""
        return Sequences(self.tokenizer.encode_each(inputs if isinstance(inputs, list) else inputs.texts()))


def _result(result: dict[str, Any]) -> str:
    low, high = result["accuracy_interval"]
    return (
        f"On {result['n']:,} held-out examples: accuracy {result['accuracy']:.1%} "
        f"(95 % interval {low:.1%} to {high:.1%}), macro-F1 {result['macro_f1']:.3f}; "
        f"always answering {code(result['majority_label'])} gets {result['majority_accuracy']:.1%}."
    )


def _fault(text: object) -> str | None:
    """Return the reason why a text cannot be decoded, or None."""
    if not isinstance(text, str):
        return f"is a {type(text).__name__}, not a string"
    if not text.strip():
        return "is empty"
    if has_surrogate(text):
        return NOT_UNICODE
    return None
