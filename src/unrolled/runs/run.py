"""What a finished run is: a model that answers, and the record of how it came to be. Each task has its kind of run."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from torch import Tensor

from unrolled import atomic, inside
from unrolled.config import Config, DataConfig
from unrolled.data.encoding.tokenizers import SPECIAL, Tokenizer
from unrolled.data.reading.sources import NOT_REREADABLE, is_file
from unrolled.errors import ConfigError, DataError
from unrolled.models import Answer, Model
from unrolled.runs.card import model_card
from unrolled.runs.claim import refuse_existing
from unrolled.runs.folder import Manifest, pack, read_snapshots, saved_inputs
from unrolled.runs.preprocessor import Preprocessor, inputs_of

if TYPE_CHECKING:
    from unrolled.inside import Example, Header, Trace

__all__ = ["MAX_LENGTH", "SPECIAL_IDS", "Run", "absolute", "refuse_gone"]

MAX_LENGTH = 512
"""Default number of tokens that `explain` reads: the matrix of all their pairs has a quarter of a million numbers."""
SPECIAL_IDS = {name.strip("<>"): i for i, name in enumerate(SPECIAL)}


@dataclass(frozen=True, eq=False)
class Run(ABC):
    """A trained model with all that it needs to answer.

    Args:
        config: the resolved settings.
        model: in eval mode, on its device.
        preprocessor: what turns data into the model's inputs.
        labels: what each output of the model means; empty where they are the tokens themselves.
        record: what run.json keeps: versions, machine, data, how training ended, the result on the test split.
        path: where it was loaded from or saved to, if anywhere.
        test: the result on the test split, of a run that was just trained on data that had one.
        metrics: the events of its training, of a run that was just trained: what metrics.jsonl keeps.
        update: after which the weights were manifest, of a run as it was in training; None at the end.
    """

    answer: ClassVar[Answer]
    """Whether its model answers once, or at each step."""
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
        """Say how good the model is on data that it has not seen; without data, on the test split of its own."""

    @abstractmethod
    def example(self, given: Any, *, max_length: int = MAX_LENGTH) -> Example:
        """Return one input as the model takes it, and what it is asked: see `explain`."""

    def explain(
        self, given: Any, *, attribution: bool = True, gradient: bool = False, max_length: int = MAX_LENGTH
    ) -> Trace:
        """Say what the model does with an input: every gate, state and weight on its way to the answer.

        Args:
            given: a text, or a list of its tokens; for task tag a sentence or its words, for task translate a source,
                or a pair (source, target); an image, as `decode` takes it. What is answered is traced: the label that
                is found, the target that is written, unless it is given, the text that is given.
            attribution: whether with what moved each answer, and how far back: gradient_norm, gradient × input, occlusion, path
                length, retention, half-life. It takes most of the time.
            gradient: whether with the gradient of each answer in the hidden states of recurrent layers.
            max_length: most tokens to read; a longer input is truncated, and the trace's header says so.

        Raises:
            DataError: the input is not what the run reads.
            ConfigError: a max_length out of range.
        """
        from unrolled import pictures  # noqa: F401  (pictures: a trace shows itself in a notebook)

        device = next(self.model.parameters()).device
        example = self.example(given, max_length=max_length).to(device)
        return inside.explain(self.model, example, self._header(), attribution=attribution, gradient=gradient)

    def _header(self) -> Header:
        from unrolled.inside import Header

        name = "" if self.path is None else self.path.name
        score = self.card()["result"] if self.update is None else ""
        return Header(
            run=name, model_name=self.config.model.name, task=self.config.task, score=score, update=self.update
        )

    def snapshots(self) -> list[Self]:
        """Return the run as it was in training, after each update whose weights were manifest, the first one first.

        Raises:
            ConfigError: none were manifest. CheckpointError: a file of them is damaged.
        """
        found = {} if self.path is None else read_snapshots(self.path)
        if not found:
            raise ConfigError(
                f"{self.path or 'the run'} has no weights of its training: train with --keep snapshots and --out"
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
        atomic.write(Path(folder), self.files())
        return replace(self, path=Path(folder))

    def files(self) -> dict[str, bytes]:
        """Return what its folder holds, but for the sums."""
        return pack(
            manifest=Manifest(
                task=self.config.task,
                inputs=saved_inputs(inputs_of(self.preprocessor)),
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
        source: what was trained on, as recorded: a file, or several. config: it may name files of other splits.
        fix: what to do instead.

    Raises:
        DataError: they were Python objects or standard input, or a file is there no more.
    """
    for file in (*([source] if isinstance(source, str) else source), config.valid, config.test):
        if file in NOT_REREADABLE:
            raise DataError(f"this run was trained on {NOT_REREADABLE[file]}", fix=fix)
        if file is not None and is_file(file) and not Path(file).exists():
            raise DataError("the data of the training are there no more", file=file, fix=fix)
