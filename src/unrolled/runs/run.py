"""What a finished run is: a model that answers, and the record of how it came to be. Each task has its kind of run."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from torch import Tensor

from unrolled import inside, sealed
from unrolled.config import Config, DataConfig
from unrolled.data.encoding.tokenizers import SPECIAL, Tokenizer
from unrolled.data.reading.sources import NOT_KEPT, is_file
from unrolled.errors import ConfigError, DataError
from unrolled.inside import Example, Header, Trace
from unrolled.inside.tokens import LIMIT
from unrolled.models import Model
from unrolled.runs.card import model_card
from unrolled.runs.claim import refuse_existing
from unrolled.runs.folder import Kept, kept_inputs, pack, read_probes
from unrolled.runs.preprocessor import Preprocessor, inputs_of

__all__ = ["SPECIAL_IDS", "Run", "absolute", "refuse_gone"]

SPECIAL_IDS = {name.strip("<>"): i for i, name in enumerate(SPECIAL)}


@dataclass(frozen=True, eq=False)
class Run(ABC):
    """A trained model with all that it needs to answer.

    Args:
        config: the resolved settings.
        model: in eval mode, on its device.
        preprocessor: what turns data into the model's inputs.
        labels: what each output of the model means; empty where they are the tokens themselves.
        record: what run.json keeps: versions, machine, data, how training ended, the result on the test part.
        path: where it was loaded from or saved to, if anywhere.
        test: the result on the test part, of a run that was just trained on data that had one.
        metrics: the events of its training, of a run that was just trained: what metrics.jsonl keeps.
        update: after which the weights were kept, of a run as it was in training; None at the end.
    """

    ASK: ClassVar[str]
    """What is added to `unrolled decode RUN` to try it."""
    GIVE_DATA: ClassVar[str] = "give the data to evaluate on, as in `unrolled evaluate RUN FILE`"

    config: Config
    model: Model
    preprocessor: Preprocessor
    labels: tuple[str, ...]
    record: dict[str, Any]
    path: Path | None = None
    test: Any = None
    metrics: tuple[dict[str, Any], ...] = ()
    update: int | None = None

    @property
    def tokenizer(self) -> Tokenizer:
        """Text to ids.

        Raises:
            AttributeError: this run reads no text.
        """
        if not isinstance(self.preprocessor, Tokenizer):
            raise AttributeError(
                f"this run does not read texts of one kind, so it has no one tokenizer: see preprocessor, "
                f"{self.preprocessor!r}"
            )
        return self.preprocessor

    @abstractmethod
    def decode(self, *args: Any, **options: Any) -> list[Any]:
        """Answer for one text or image or many, in their order."""

    def refuse(self, *args: Any, **options: Any) -> None:  # noqa: B027 (most tasks answer for every text)
        """Refuse a text that `decode` would refuse, so that those before it can be answered.

        Raises:
            DataError: the text holds what the run cannot take.
        """

    @abstractmethod
    def evaluate(self, *args: Any, **options: Any) -> Any:
        """Say how good the model is on data that it has not seen; without data, on the test part of its own."""

    @abstractmethod
    def example(self, given: Any, *, limit: int = LIMIT) -> Example:
        """Return one input as the model takes it, and what it is asked: see `explain`."""

    def explain(self, given: Any, *, influence: bool = True, gradient: bool = False, limit: int = LIMIT) -> Trace:
        """Say what the model does with an input: every gate, state and weight on its way to the answer.

        Args:
            given: a text, or a list of its tokens; for task tag a sentence or its words, for task translate a source,
                or a pair (source, target); an image, as `decode` takes it. What is answered is traced: the label that
                is found, the target that is written, unless it is given, the text that is given.
            influence: whether with what moved each answer, and how far back: reach, gradient × input, ablation, path
                length, retention, half-life. It takes most of the time.
            gradient: whether with the gradient of each answer in the hidden states of recurrent layers.
            limit: most tokens to read; a longer input is cut, and the trace's header says so.

        Raises:
            DataError: the input is not what the run reads.
            ConfigError: a limit out of range.
        """
        device = next(self.model.parameters()).device
        example = self.example(given, limit=limit).to(device)
        return inside.explain(self.model, example, self._header(), influence=influence, gradient=gradient)

    def _header(self) -> Header:
        name = "" if self.path is None else self.path.name
        score = self.card()["result"] if self.update is None else ""
        return Header(run=name, row=self.config.row, task=self.config.task, score=score, update=self.update)

    def probes(self) -> list[Self]:
        """Return the run as it was in training, after each update whose weights were kept, the first one first.

        Raises:
            ConfigError: none were kept. CheckpointError: a file of them is damaged.
        """
        found = {} if self.path is None else read_probes(self.path)
        if not found:
            raise ConfigError(
                f"{self.path or 'the run'} has no weights of its training: train with --keep probes and --out"
            )
        return [replace(self, model=_with(self.model, found[update]), update=update, test=None) for update in found]

    @abstractmethod
    def card(self) -> dict[str, str]:
        """What its model card says of the task: see `model_card`."""

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Self:
        """Write the run's folder, aside and then renamed, and return the run with its path.

        Raises:
            ConfigError: the folder is there, and is not to be overwritten or is no run.
            CheckpointError: it cannot be written.
        """
        refuse_existing(Path(folder), overwrite=overwrite)
        sealed.write(Path(folder), self.files())
        return replace(self, path=Path(folder))

    def files(self) -> dict[str, bytes]:
        """Return what its folder holds, but for the sums."""
        return pack(
            kept=Kept(
                task=self.config.task,
                row=self.config.row,
                inputs=kept_inputs(inputs_of(self.preprocessor)),
                labels=list(self.labels),
                special_ids=SPECIAL_IDS,
                model=self.config.model,
            ),
            weights=self.model.state_dict(),
            preprocessor=self.preprocessor,
            record=self.record,
            metrics=self.metrics,
            card=model_card(self.config, self.record, **self.card()),
        )


def _with(model: Model, weights: Mapping[str, Tensor]) -> Model:
    """A copy of the model with other weights."""
    changed = copy.deepcopy(model)
    changed.load_state_dict(weights)
    return changed


def absolute(source: str | Path) -> str:
    """Return a file by its whole path, so that it is found again from another folder; what is no file by its name."""
    return str(Path(source).resolve()) if is_file(str(source)) else str(source)


def refuse_gone(source: str | list[str], config: DataConfig, *, fix: str) -> None:
    """Refuse training data that cannot be read again.

    Args:
        source: what was trained on, as recorded: a file, or several. config: it may name files of other parts.
        fix: what to do instead.

    Raises:
        DataError: they were Python objects or standard input, or a file is there no more.
    """
    for file in (*([source] if isinstance(source, str) else source), config.valid, config.test):
        if file in NOT_KEPT:
            raise DataError(f"this run was trained on {NOT_KEPT[file]}", fix=fix)
        if file is not None and is_file(file) and not Path(file).exists():
            raise DataError("the data of the training are there no more", file=file, fix=fix)
