"""Base of the runs that give one answer for a text: reading of texts and labels, the example that `explain` reads."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from unrolled.config import DataConfig
from unrolled.data.encoding.batches import Sequences
from unrolled.data.encoding.tokenizers import UNK
from unrolled.data.examples.labelled import Examples, read_texts
from unrolled.errors import ConfigError, DataError
from unrolled.runs.reading import allowed_length, log_read, read_held_out, reading, separate
from unrolled.runs.run import MAX_LENGTH, Run
from unrolled.strings import NOT_UNICODE, has_surrogate

if TYPE_CHECKING:
    from unrolled.inside import Example

__all__ = ["TextRun", "listed"]


class TextRun(Run):
    """A trained model that gives one answer for a text."""

    answer = "once"
    EXAMPLE_INPUT = '"a text of your own"'

    @abstractmethod
    def load_examples(self, data: object, settings: DataConfig) -> Examples:
        """Read the examples of `data`, with labels that the run knows."""

    @abstractmethod
    def load_test(self, data: object) -> Examples:
        """Read the test split of the training data."""

    def example(self, input: Any, *, max_length: int = MAX_LENGTH) -> Example:
        """Return a text, or a list of its tokens, as an input of the model; its answer is explained."""
        from unrolled.inside import Example
        from unrolled.inside.tokens import read, truncate, unknown

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
            unknown=unknown(tokens),
            temperature=self.temperature,
        )

    def read_texts(
        self,
        path: str | Path,
        *,
        text: str | None = None,
        header: bool | None = None,
        separator: str | None = None,
        on_bad_row: str | None = None,
    ) -> list[str]:
        """Read the texts of a file that may have no labels, to decode them.

        Args:
            path: a CSV, TSV or JSONL file, or a sample's name.
            text: the column; default: as in training.
            header: whether the first row of a CSV or TSV file names the columns; default: as in training.
            separator: separator of the columns of a CSV or TSV file; default: as in training.
            on_bad_row: "stop" or "skip"; default: as in training.

        Raises:
            DataError: a bad row, or a file that cannot be read.
        """
        settings = reading(self, text=text, header=header, separator=separator, on_bad_row=on_bad_row)
        examples = read_texts(path, settings, task=self.config.task)
        log_read(examples)
        return list(examples.texts())

    def evaluate(
        self,
        data: object = None,
        *,
        text: str | None = None,
        label: str | None = None,
        decimal: str | None = None,
        header: bool | None = None,
        separator: str | None = None,
        on_bad_row: str | None = None,
        test_split: bool = False,
        **options: Any,
    ) -> Any:
        """Compare the model's answers with the labels of `data`, by default of the run's own test split.

        Args:
            data: a path, a sample's name or Python objects; None: the run's own test split.
            text, label: the columns; default: as in training.
            decimal: character before the decimals of a number (task regress); default: as in training.
            header: whether the first row of a CSV or TSV file names the columns; default: as in training.
            separator: separator of the columns of a CSV or TSV file; default: as in training.
            on_bad_row: "stop" or "skip"; default: as in training.
            test_split: whether `data` are those of the training, of which the test split is used.
            options: precision, "float32" (default) or "int8"; threshold, for runs trained with multi_label.

        Raises:
            DataError: a bad row, an unknown label, or (with None) training data that are missing or have changed.
            ConfigError: columns are named without data, or another option was given.
        """
        columns = {"text": text, "label": label, "decimal": decimal}
        settings = {**columns, "header": header, "separator": separator, "on_bad_row": on_bad_row}
        return self.evaluated(data, test_split, settings | options)

    def held_out(self, data: object, test_split: bool, options: Mapping[str, Any]) -> dict[str, Any]:
        """Read the examples of an evaluation; return the keyword arguments of `result` and `scores`."""
        names = "text", "label", "decimal", "header", "separator", "on_bad_row"
        settings, chosen = separate(self, options, *names)
        if self.config.task != "regress" and settings.pop("decimal") is not None:
            raise ConfigError(f"decimal is for runs of task regress: this run's task is {self.config.task}")

        def load(data: object, config: DataConfig) -> Examples:
            examples = self.load_examples(data, config)
            log_read(examples)
            return examples

        examples = read_held_out(self, data, test_split, settings, load=load, load_test=self.load_test)
        return {"examples": examples, **chosen.of_task()}

    def count_unknown(self, texts: Iterable[str]) -> int:
        """Return the number of texts all of whose tokens are unknown, so that their words do not reach the network."""
        return sum(set(ids) == {UNK} for ids in self.tokenizer.encode_each(texts))

    def sequences(self, inputs: Iterable[str] | Examples) -> Sequences:
        """Return texts, or the texts of examples, as inputs of the model."""
        return Sequences.encode(self.tokenizer, inputs.texts() if isinstance(inputs, Examples) else inputs)


def listed(texts: str | Iterable[str]) -> list[str]:
    """Return one text or several as a list.

    Raises:
        DataError: a text is not a string, or is empty.
    """
    texts = [texts] if isinstance(texts, str) else list(texts)
    for number, text in enumerate(texts):
        if fault := _fault(text):
            raise DataError(f"text {number} {fault}", fix="give strings with at least one character")
    return texts


def _fault(text: object) -> str | None:
    """Return the reason why a text cannot be decoded, or None."""
    if not isinstance(text, str):
        return f"is a {type(text).__name__}, not a string"
    if not text.strip():
        return "is empty"
    if has_surrogate(text):
        return NOT_UNICODE
    return None
