"""A finished run: a trained model, its preprocessor, and the record of its training. Each task has a subclass."""

from __future__ import annotations

import copy
import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from unrolled import atomic
from unrolled.config import Choice, Config
from unrolled.data.encoding.tokenizers import Tokenizer
from unrolled.decoding.options import Options
from unrolled.display import Displayed
from unrolled.errors import ConfigError
from unrolled.evaluation.by_example import ByExample
from unrolled.models import Answer, Model
from unrolled.runs.card import model_card
from unrolled.runs.claim import refuse_existing
from unrolled.runs.folder import pack
from unrolled.runs.listing import HEADLINES
from unrolled.runs.precision import PrecisionCost
from unrolled.runs.preprocessor import Preprocessor, inputs_of
from unrolled.runs.schema import SPECIAL_IDS, Manifest, saved_inputs
from unrolled.runs.weights import read_snapshots
from unrolled.scan import Precision, frozen

if TYPE_CHECKING:
    from unrolled.inside import Example, Header, Trace

__all__ = ["MAX_LENGTH", "Run"]

MAX_LENGTH = 512
"""Default maximum length of `explain`, in tokens: a matrix of all their pairs has a quarter of a million numbers."""


@dataclass(frozen=True, eq=False, repr=False)
class Run(Displayed, ABC):
    """A trained model with all that it needs to answer.

    Args:
        config: the resolved settings.
        model: the model, in eval mode, on its device.
        preprocessor: turns data into the model's inputs.
        labels: the label of each output of the model; empty where the outputs are the tokens themselves.
        record: the content of run.json: settings, versions, machine, data, the end of the training, the result on the
            test split.
        path: the folder it was loaded from or saved to; None: it is in memory only.
        test: the result on the test split, of a run that was just trained on data with one.
        metrics: the events of its training, as in metrics.jsonl, of a run that was just trained.
        update: the update after which the weights were saved, of a snapshot; None: the run is finished.
        members: members of an ensemble, whose answers are averaged; the first has its settings, labels and record.
    """

    answer: ClassVar[Answer]
    """Steps at which its model answers: once, after the whole sequence, or at each step."""
    EXAMPLE_INPUT: ClassVar[str]
    """An example argument of `unrolled decode RUN`."""
    EVALUATE_OPTIONS: ClassVar[type[Options]] = Options
    """The schema of the options of `evaluate`."""
    GIVE_DATA: ClassVar[str] = "give the data to evaluate on, as in `unrolled evaluate RUN FILE`"
    """The advice of an error where a run has no test split that can be read again."""

    config: Config
    model: Model
    preprocessor: Preprocessor
    labels: tuple[str, ...]
    record: dict[str, Any]
    path: Path | None = None
    test: Any = None
    metrics: tuple[dict[str, Any], ...] = ()
    update: int | None = None
    members: tuple[Run, ...] = ()

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokeniser, of a run that reads texts of one kind.

        Raises:
            AttributeError: the run reads images, or has a tokeniser for each side of a pair.
        """
        if not isinstance(self.preprocessor, Tokenizer):
            raise AttributeError(
                f"this run has no single tokenizer, since it does not read texts of one kind: use run.preprocessor, "
                f"{self.preprocessor!r}"
            )
        return self.preprocessor

    @property
    def temperature(self) -> float:
        """Divisor of the logits, fitted on the validation split; 1 without `temperature_scale`, and of snapshots.

        An ensemble has none of its own: it averages the probabilities of its runs, each at its temperature.
        """
        return 1.0 if self.update is not None or self.members else float(self.record.get("temperature", 1.0))

    def averaged(self, answers: Callable[[Any], NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return the mean of the answers of the members of an ensemble, (…, K), for its labels.

        Args:
            answers: answers of one member, for its labels.
        """
        every = [answers(run)[..., [run.labels.index(label) for label in self.labels]] for run in self.members]
        return np.asarray(np.mean(every, axis=0))

    def meanings(self, outputs: Iterable[int]) -> list[str]:
        """Return the labels of outputs, by their indices."""
        return [self.labels[k] for k in outputs]

    @abstractmethod
    def decode(self, *args: Any, **options: Any) -> list[Any]:
        """Return the answers for one text or image or several, in order."""

    def refuse(self, *args: Any, **options: Any) -> None:
        """Refuse an input that `decode` would refuse, so that those before it can be answered first.

        Raises:
            DataError: the run cannot read the input.
        """

    @abstractmethod
    def evaluate(self, *args: Any, **options: Any) -> Any:
        """Return the result of the model on held-out data; without data, on the test split of its training data."""

    def by_example(self, data: object = None, *, test_split: bool = False, **options: Any) -> ByExample:
        """Return the score of each example of held-out data, whose mean is a figure of `evaluate`.

        The module `unrolled.evaluation.by_example` defines the score of each task, and shows how the scores of several
        runs are compared.

        Args:
            data: as in `evaluate`; None: the run's own test split.
            test_split: whether `data` are those of the training, of which the test split is used.
            options: the other arguments of `evaluate`.

        Raises:
            DataError: as `evaluate`.
            ConfigError: as `evaluate`.
        """
        held_out = self.held_out(data, test_split, options)
        with self.answering(options.get("precision")):
            return self.scores(**held_out)

    def evaluated(self, data: object, test_split: bool, options: Mapping[str, Any]) -> Any:
        """Return the result on held-out data, in the precision among the options; see `evaluate`."""
        held_out = self.held_out(data, test_split, options)
        with self.answering(options.get("precision")):
            return self.result(**held_out)

    def cost_of(
        self, precision: Precision, data: object = None, *, test_split: bool = False, **options: Any
    ) -> PrecisionCost:
        """Evaluate in a precision and in float32, and return both results and the share of equal answers.

        Args:
            precision: "int8".
            data: as in `evaluate`; None: the run's own test split.
            test_split: whether `data` are those of the training, of which the test split is used.
            options: the other arguments of `evaluate`.

        Raises:
            BackendError: the run cannot compute in this precision; see `unrolled.scan.frozen`.
            DataError: as `evaluate`.
            ConfigError: as `evaluate`.
        """
        held_out = self.held_out(data, test_split, options)
        with self.answering(precision):
            result, answers = self.result(**held_out), self.answers(**held_out)
        with self.answering("float32"):
            float32, others = self.result(**held_out), self.answers(**held_out)
        headline = HEADLINES[Choice.of(self.config).task]
        return PrecisionCost(precision, result, float32, self.equal(answers, others), len(answers), headline)

    @contextmanager
    def answering(self, precision: Precision | None) -> Iterator[None]:
        """Return a block in which the run answers in a precision; None: that of a surrounding block, else float32.

        Raises:
            BackendError: the run cannot compute in this precision; see `unrolled.scan.frozen`.
        """
        models = [run.model for run in self.members if self.labels] or [self.model]
        with ExitStack() as blocks:
            for model in models if precision is not None else ():
                blocks.enter_context(frozen(model, precision))
            yield

    @abstractmethod
    def answers(self, *args: Any, **options: Any) -> NDArray[Any]:
        """Return the N answers for the examples that `result` takes, (N,) or (N, K)."""

    def equal(self, answers: NDArray[Any], others: NDArray[Any]) -> int:
        """Return the number of equal answers of two lists from `answers`."""
        same = answers == others
        return int((same if same.ndim == 1 else same.all(axis=1)).sum())

    @abstractmethod
    def held_out(self, data: object, test_split: bool, options: Mapping[str, Any]) -> dict[str, Any]:
        """Read the data of an evaluation; return the keyword arguments of `result` and `scores`.

        Args:
            data, test_split: see `evaluate`, also for the errors.
            options: the other arguments of `evaluate`.
        """

    @abstractmethod
    def result(self, *args: Any, **options: Any) -> Any:
        """Return the result of the model on examples that are already read."""

    @abstractmethod
    def scores(self, *args: Any, **options: Any) -> ByExample:
        """Return the score of each of the examples that `result` takes; see `by_example`."""

    @abstractmethod
    def example(self, input: Any, *, max_length: int = MAX_LENGTH) -> Example:
        """Return one input as tensors of the model, with the answers to explain; see `explain` for the arguments."""

    def explain(
        self, input: Any, *, attribution: bool = True, gradient: bool = False, max_length: int = MAX_LENGTH
    ) -> Trace:
        """Return a trace of one input: every gate, state and attention weight on the way to the answer.

        Args:
            input: a text or a list of its tokens; for task tag a sentence or its words; for task translate a source or
                a pair (source, target); an image, as `decode` takes it. The traced answers are the predicted label or
                tags, the translation (or the target of the pair), and each token of the text itself for task generate.
            attribution: whether to include the attribution of each answer to the inputs: gradient norm, gradient ×
                input, occlusion, path length, retention, half-life. It takes most of the time.
            gradient: whether to include the gradient of each answer with respect to the hidden states of recurrent
                layers.
            max_length: maximum number of tokens; a longer input is truncated, and the trace's header says so.

        Raises:
            DataError: the run cannot read the input.
            ConfigError: a max_length out of range, or the run is an ensemble.
        """
        from unrolled import inside, pictures  # noqa: F401  (pictures: a trace shows itself in a notebook)

        self._refuse_ensemble("explained")
        device = next(self.model.parameters()).device
        example = self.example(input, max_length=max_length).to(device)
        return inside.explain(self.model, example, self._header(), attribution=attribution, gradient=gradient)

    def _header(self) -> Header:
        from unrolled.inside import Header

        name = "" if self.path is None else self.path.name
        headline = HEADLINES.get(Choice.of(self.config).task) if self.update is None else None
        score = headline.shown(self.record["result"] or {}) if headline else ""
        return Header(
            run=name, model_name=self.config.model.name, task=self.config.task, score=score, update=self.update
        )

    def _display(self) -> dict[str, object]:
        """Return the model, the data and the result, for a notebook."""
        training = self.record["training"]
        result = self.card()["result"]
        return {
            "model": self.config.model.name,
            "task": self.config.task,
            "data": self.record["data"]["name"],
            "folder": None if self.path is None else str(self.path),
            "parameters": self.record["parameters"],
            "updates": training["updates"],
            "best_update": training["best_update"],
            "date": self.record["date"],
            "result": result or None,
        }

    def snapshots(self) -> list[Self]:
        """Return the run with each of the weights that were saved during its training, in order of their updates.

        Raises:
            ConfigError: there are no snapshots.
            CheckpointError: a file of them is damaged.
        """
        weights = {} if self.path is None else read_snapshots(self.path, self.model.state_dict())
        if not weights:
            raise ConfigError(f"{self.path or 'the run'} has no snapshots: train with --keep snapshots and --out")
        return [replace(self, model=_with(self.model, weights[update]), update=update, test=None) for update in weights]

    @abstractmethod
    def card(self) -> dict[str, str]:
        """Return the task's entries of the model card: the keyword arguments of `model_card`."""

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Self:
        """Write the run's folder, under a temporary name that is then changed, and return the run with its path.

        Raises:
            ConfigError: the folder exists, and may not be overwritten or is not a run; or the run is an ensemble.
            CheckpointError: it cannot be written.
        """
        self._refuse_ensemble("saved")
        refuse_existing(Path(folder), overwrite=overwrite)
        atomic.write(Path(folder), self.files())
        return replace(self, path=Path(folder))

    def export(
        self, folder: str | Path, *, to: str = "onnx", overwrite: bool = False, opset: int | None = None
    ) -> Path:
        """Write the run in the format of another library, and return the folder; see `unrolled.export`."""
        interchange = importlib.import_module("unrolled.interchange.export")  # by its path: it is above this room
        written: Path = interchange.export(self, Path(folder), to=to, overwrite=overwrite, opset=opset)
        return written

    def _refuse_ensemble(self, verb: str) -> None:
        if self.members:
            raise ConfigError(f"an ensemble cannot be {verb}, but each of its runs can")

    def files(self) -> dict[str, bytes]:
        """Return the files of its folder by name, all but SHA256SUMS."""
        return pack(
            manifest=Manifest(
                task=self.config.task,
                inputs=saved_inputs(inputs_of(self.preprocessor)),
                labels=list(self.labels),
                multi_label=self.config.data.multi_label,
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
    """Return a copy of the model with other weights."""
    changed = copy.deepcopy(model)
    changed.load_state_dict(weights)
    return changed
