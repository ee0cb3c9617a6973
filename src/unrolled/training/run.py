"""What a finished run is: a model that answers, and the record of how it came to be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from unrolled.config import Config
from unrolled.data.batches import Sequences
from unrolled.data.examples import Examples, load_examples
from unrolled.data.splits import load_splits
from unrolled.data.tokenizers import Tokenizer
from unrolled.decoding import Classification, classify, probabilities
from unrolled.errors import DataError
from unrolled.evaluation import ClassificationResult, evaluate_classification
from unrolled.models import Model
from unrolled.training.card import model_card
from unrolled.training.folder import FORMAT_VERSION, claim, write

__all__ = ["Run"]


@dataclass(frozen=True, eq=False)
class Run:
    """A trained model with all that it needs to answer.

    Args:
        config: the resolved settings.
        model: in eval mode, on its device.
        tokenizer: text to ids.
        labels: class k is labels[k].
        record: what run.json keeps: versions, machine, data, how training ended, the result on the test part.
        path: where it was loaded from or saved to, if anywhere.
        test: the result on the test part, of a run that was just trained on data that had one.
    """

    config: Config
    model: Model
    tokenizer: Tokenizer
    labels: tuple[str, ...]
    record: dict[str, Any]
    path: Path | None = None
    test: ClassificationResult | None = None

    def decode(self, texts: str | Iterable[str]) -> list[Classification]:
        """Answer for one text or many, in their order.

        Raises:
            DataError: a text is not a string, or is empty.
        """
        texts = [texts] if isinstance(texts, str) else list(texts)
        for number, text in enumerate(texts):
            if not isinstance(text, str) or not text.strip():
                what = "empty" if isinstance(text, str) else f"a {type(text).__name__}, not a string"
                raise DataError(f"text {number} is {what}", fix="give texts with at least one character")
        return classify(texts, self.labels, probabilities(self.model, self._sequences(texts)))

    def evaluate(self, data: object = None) -> ClassificationResult:
        """Compare the model's answers with the labels of `data`, or of the test part it was trained beside.

        Args:
            data: a path, a sample's name or Python objects, read as the training data was; None: the run's test part.

        Raises:
            DataError: a bad row, an unknown label, or (with None) training data that are gone or have changed.
        """
        if data is None:
            return self.result(self._own_test())
        return self.result(load_examples(data, self.config.data, labels=self.labels))

    def result(self, examples: Examples) -> ClassificationResult:
        """Evaluate on examples that are read already."""
        sequences = self._sequences(examples.texts())
        index = {label: k for k, label in enumerate(self.labels)}
        return evaluate_classification(
            self.labels,
            np.array([index[label] for label in examples.labels()], dtype=np.int64),
            probabilities(self.model, sequences),
            sequences.lengths.numpy(),
            majority=index[self.record["data"]["majority"]],
        )

    def save(self, folder: str | Path, *, metrics: Sequence[str] = (), overwrite: bool = False) -> Run:
        """Write the run's folder, aside and then renamed, and return the run with its path.

        Args:
            folder: where; it must not exist, unless `overwrite`.
            metrics: the lines of metrics.jsonl.

        Raises:
            ConfigError: the folder exists, or cannot be written.
        """
        folder = Path(folder)
        with claim(folder, overwrite=overwrite) as partial:
            (partial / "metrics.jsonl").write_text("".join(f"{line}\n" for line in metrics), encoding="utf-8")
            self.write(partial)
        return replace(self, path=folder)

    def write(self, folder: Path) -> None:
        """Write the run's files into a folder that is there."""
        (folder / "README.md").write_text(model_card(self.config, self.labels, self.record), encoding="utf-8")
        write(
            folder,
            config={
                "library": "unrolled",
                "format_version": FORMAT_VERSION,
                "task": self.config.task,
                "row": self.config.row,
                "inputs": {"vocabulary_size": self.tokenizer.vocabulary_size},
                "labels": list(self.labels),
                "special_ids": {"pad": 0, "unk": 1, "bos": 2, "eos": 3, "sep": 4},
                "model": self.config.model.model_dump(),
            },
            weights=self.model.state_dict(),
            tokenizer=self.tokenizer.to_json(),
            record=self.record,
        )

    def _sequences(self, texts: Sequence[str]) -> Sequences:
        return Sequences(self.tokenizer.encode(texts))

    def _own_test(self) -> Examples:
        """The test part of the training data, read again and found unchanged."""
        recorded = self.record["data"]
        if recorded["source"] == "python objects":
            raise DataError(
                "this run was trained on Python objects, which are not kept", fix="give the data to evaluate on"
            )
        test = load_splits(recorded["source"], self.config.data).test
        if test.fingerprint != recorded["parts"]["test"]["fingerprint"]:
            raise DataError(
                "the test part is not the one of the training: the file has changed since",
                file=recorded["source"],
                fix="give the data to evaluate on, as in `unrolled evaluate RUN FILE`",
            )
        return test
