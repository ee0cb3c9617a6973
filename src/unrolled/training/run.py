"""What a finished run is: a model that answers, and the record of how it came to be."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from unrolled.config import Config, DataConfig, from_flat
from unrolled.data.batches import Sequences
from unrolled.data.examples import Examples, load_examples, read_texts
from unrolled.data.samples import PREFIX
from unrolled.data.splits import load_splits
from unrolled.data.tokenizers import SPECIAL, Tokenizer
from unrolled.decoding import Classification, classify, probabilities
from unrolled.errors import ConfigError, DataError
from unrolled.evaluation import ClassificationResult, evaluate_classification
from unrolled.models import Model
from unrolled.training.card import model_card
from unrolled.training.folder import Inputs, Kept, claim, write

__all__ = ["SPECIAL_IDS", "Run", "log_read"]

SPECIAL_IDS = {name.strip("<>"): i for i, name in enumerate(SPECIAL)}

log = logging.getLogger("unrolled")


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
        metrics: the events of its training, of a run that was just trained: what metrics.jsonl keeps.
    """

    config: Config
    model: Model
    tokenizer: Tokenizer
    labels: tuple[str, ...]
    record: dict[str, Any]
    path: Path | None = None
    test: ClassificationResult | None = None
    metrics: tuple[dict[str, Any], ...] = ()

    def decode(self, texts: str | Iterable[str]) -> list[Classification]:
        """Answer for one text or many, in their order.

        Raises:
            DataError: a text is not a string, or is empty.
        """
        texts = [texts] if isinstance(texts, str) else list(texts)
        for number, text in enumerate(texts):
            if fault := _fault(text):
                raise DataError(f"text {number} {fault}", fix="give strings with at least one character")
        return classify(texts, self.labels, probabilities(self.model, self._sequences(texts)))

    def read_texts(self, path: str | Path, *, text: str | None = None, on_bad_row: str | None = None) -> list[str]:
        """Read the texts of a file that may have no labels, to decode them.

        Args:
            path: a CSV, TSV or JSONL file, or a sample's name.
            text: the column; default: as in training.
            on_bad_row: "stop" or "skip"; default: as in training.

        Raises:
            DataError: a bad row, or a file that cannot be read.
        """
        examples = read_texts(path, self._reading(text=text, on_bad_row=on_bad_row))
        log_read(examples)
        return examples.texts()

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
        settings = self._reading(text=text, label=label, on_bad_row=on_bad_row)
        if data is not None:
            examples = load_examples(data, settings, labels=self.labels)
            log_read(examples)
        elif settings != self.config.data:
            raise ConfigError("the run's own test part is read as in training: leave text, label and on_bad_row out")
        else:
            examples = self._own_test()
        return self.result(examples)

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

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Run:
        """Write the run's folder, aside and then renamed, and return the run with its path.

        Raises:
            ConfigError: the folder is there, and is not to be overwritten or is no run.
            CheckpointError: it cannot be written.
        """
        with claim(Path(folder), overwrite=overwrite) as partial:
            self.write(partial)
        return replace(self, path=Path(folder))

    def write(self, folder: Path) -> None:
        """Write the run's files into a folder that is there."""
        write(
            folder,
            kept=Kept(
                task=self.config.task,
                row=self.config.row,
                inputs=Inputs(vocabulary_size=self.tokenizer.vocabulary_size),
                labels=list(self.labels),
                special_ids=SPECIAL_IDS,
                model=self.config.model,
            ),
            weights=self.model.state_dict(),
            tokenizer=self.tokenizer.to_json(),
            record=self.record,
            metrics=self.metrics,
            card=model_card(self.config, self.labels, self.record),
        )

    def _sequences(self, texts: Sequence[str]) -> Sequences:
        return Sequences(self.tokenizer.encode(texts))

    def _reading(self, **settings: str | None) -> DataConfig:
        """How data are read: as in training, but for what is given."""
        return from_flat({name: value for name, value in settings.items() if value is not None}, base=self.config).data

    def _own_test(self) -> Examples:
        """The test part of the training data, read again and found unchanged."""
        recorded = self.record["data"]
        source, part = recorded["source"], recorded["parts"]["test"]
        fix = "give the data to evaluate on, as in `unrolled evaluate RUN FILE`"
        if not part["rows"]:
            raise DataError("this run was trained without a test part", fix=fix)
        if source == "python objects":
            raise DataError("this run was trained on Python objects, which are not kept", fix=fix)
        files = [file for file in (source, self.config.data.valid, self.config.data.test) if file is not None]
        for file in files:
            if not file.startswith(PREFIX) and not Path(file).is_file():
                raise DataError("the data of the training are there no more", file=file, fix=fix)
        test = load_splits(source, self.config.data).test
        if test.fingerprint != part["fingerprint"]:
            raise DataError(
                "the test part is not the one of the training: the data have changed since", file=source, fix=fix
            )
        return test


def log_read(examples: Examples) -> None:
    """Log how many rows were read and used, and list those that were skipped."""
    log.info("%s: %s", examples.source, examples.counts)
    for row in examples.skipped:
        log.info("  skipped: line %s: %s: %s", row.line, row.reason, row.row)


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
