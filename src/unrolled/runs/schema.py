"""The schemas of config.json and run.json, the files that describe a run; torch is imported only to build a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, Self, TypeAlias, TypeVar

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from unrolled import lineage
from unrolled.config import SECTIONS, Config, ModelConfig
from unrolled.data.examples.labels import LARGEST
from unrolled.data.special import SPECIAL
from unrolled.saved import Count, Digest, Distinct, Label, Open, Size, Strict

if TYPE_CHECKING:
    from unrolled.models import Inputs

__all__ = [
    "FORMAT_VERSION",
    "SPECIAL_IDS",
    "Manifest",
    "Path",
    "Record",
    "RecordedConfig",
    "RecordedPlan",
    "RecordedProgress",
    "SourceSum",
    "record_schema",
    "saved_inputs",
]

FORMAT_VERSION = 3
SPECIAL_IDS = {name.strip("<>"): i for i, name in enumerate(SPECIAL)}
LONGEST_TARGET = 10**6  # tokens; a translation has this length at most, and nobody waits for a longer one

D = TypeVar("D", bound="_Data")
R = TypeVar("R", bound=Open)

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(ge=0)]
Interval: TypeAlias = tuple[float, float]
Vocabulary = Annotated[int, Field(gt=len(SPECIAL), le=2**31 - 1)]
Path = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\x00]*$")]
"""A path or another data source; no system has a longer path."""


class SavedIds(Strict):
    """Inputs in config.json, of a model that reads ids."""

    vocabulary_size: Vocabulary

    def inputs(self) -> Inputs:
        """Return the argument of the model."""

        from unrolled.models import Ids

        return Ids(self.vocabulary_size)


class SavedFeatures(Strict):
    """Inputs in config.json, of a model that reads vectors."""

    size: Size

    def inputs(self) -> Inputs:
        """Return the argument of the model."""

        from unrolled.models import Features

        return Features(self.size)


class SavedPairs(Strict):
    """Inputs in config.json, of a model that reads a source and a target."""

    source_size: Vocabulary
    vocabulary_size: Vocabulary
    shared: bool

    def inputs(self) -> Inputs:
        """Return the argument of the model."""

        from unrolled.models import Pairs

        return Pairs(**self.model_dump())


SavedInputs: TypeAlias = SavedIds | SavedFeatures | SavedPairs


def _kind(value: Any) -> str:
    """Return the kind of inputs, which follows from their entries."""
    entries = value if isinstance(value, dict) else type(value).model_fields if isinstance(value, Strict) else {}
    return "pairs" if "source_size" in entries else "features" if "size" in entries else "ids"


_AnyInputs = Annotated[
    Annotated[SavedIds, Tag("ids")] | Annotated[SavedFeatures, Tag("features")] | Annotated[SavedPairs, Tag("pairs")],
    Discriminator(_kind),
]


def saved_inputs(inputs: Inputs) -> SavedInputs:
    """Return a model's inputs in the schema of config.json."""
    entries = inputs._asdict()
    kinds: dict[str, type[SavedInputs]] = {"ids": SavedIds, "features": SavedFeatures, "pairs": SavedPairs}
    return kinds[_kind(entries)](**entries)


class Manifest(Strict):
    """The content of config.json: all that rebuilds the model, except for its weights."""

    library: Literal["unrolled"] = "unrolled"
    format_version: int = FORMAT_VERSION
    task: str
    inputs: _AnyInputs
    labels: Distinct
    multi_label: bool = False
    special_ids: dict[str, int]
    model: ModelConfig

    @model_validator(mode="after")
    def _fits(self) -> Self:
        lineage.check(self.task, self.model.name)
        kind, images = _kind(self.inputs), self.task == "classify" and isinstance(self.inputs, SavedFeatures)
        if kind != ("pairs" if self.task == "translate" else "ids") and not images:
            raise ValueError(f"inputs should be those of task {self.task}: got {kind}")
        if (self.task in ("classify", "regress", "tag")) != bool(self.labels):
            raise ValueError(f"labels should be those of task {self.task}: got {len(self.labels):,} labels")
        if self.multi_label and (self.task != "classify" or kind != "ids"):
            raise ValueError("multi_label should be false, but for texts of task classify")
        if self.special_ids != SPECIAL_IDS:
            raise ValueError(f"special_ids should be {SPECIAL_IDS}")
        return self


class SourceSum(Strict):
    """Size and SHA-256 of a file of the data, or of a folder: see `runs/recorded.py`."""

    source: Path
    files: Annotated[int, Field(ge=1, le=10**7)]
    bytes: Count
    sha256: Digest


class VectorSource(SourceSum):
    """The file of the word vectors that a training began with, and the number of words in the vocabulary and in it."""

    words: Count
    words_found: Count


class _Split(Open):
    fingerprint: Label


class _Rows(_Split):
    rows: Count


class _Text(_Split):
    characters: Count
    tokens: Count


S = TypeVar("S", bound=_Split)


class _Splits(Strict, Generic[S]):
    train: S
    valid: S
    test: S


class _Data(Open):
    name: str
    source: Path
    how: str
    sums: list[SourceSum] | None = None
    """Of the files of the data; None: a run of an earlier version."""
    vectors: VectorSource | None = None


class _Labelled(_Data):
    splits: _Splits[_Rows]
    majority: Label
    labels: Distinct | None = None
    """Labels of the data, whose names are the labels of the run; None: they are the same."""


class _MultiLabelled(_Data):
    splits: _Splits[_Rows]
    usual: Distinct


class _Numbered(_Data):
    splits: _Splits[_Rows]
    mean: Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
    deviation: Annotated[float, Field(gt=0, le=2 * LARGEST)]


class _Tagged(_Labelled):
    words: dict[Label, str]


class _Pairs(_Data):
    source: Path | Annotated[list[Path], Field(min_length=2, max_length=2)]  # type: ignore[assignment]
    splits: _Splits[_Rows]
    longest_target: Annotated[int, Field(ge=1, le=LONGEST_TARGET)]


class _Texts(_Data):
    source: Path | Annotated[list[Path], Field(min_length=1)]  # type: ignore[assignment]
    splits: _Splits[_Text]
    counts: list[Count]


class _Calibration(Open):
    error: Fraction
    unscaled_error: Fraction


class _Classification(Open):
    n: Count
    accuracy: Fraction
    accuracy_interval: Interval
    macro_f1: Fraction
    majority_label: Label
    majority_accuracy: Fraction
    calibration: _Calibration | None = None
    """None: the run is of an earlier version."""


class _Spans(Open):
    spans: Count
    precision: Fraction
    recall: Fraction
    f1: Fraction
    f1_interval: Interval


class _MultiLabel(Open):
    n: Count
    micro_f1: Fraction
    micro_f1_interval: Interval
    macro_f1: Fraction
    subset_accuracy: Fraction
    usual_micro_f1: Fraction


class _Regression(Open):
    n: Count
    mae: Positive
    mae_interval: Interval
    rmse: Positive
    r2: float | None
    spearman: float | None
    mean_mae: Positive


class _Tagging(Open):
    words: Count
    sentences: Count
    accuracy: Fraction
    accuracy_interval: Interval
    unseen: Count
    unseen_accuracy: Fraction | None
    baseline_accuracy: Fraction
    calibration: _Calibration | None = None
    spans: _Spans | None = None
    """None: the tags are no spans, or the run is of an earlier version."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.unseen and self.unseen_accuracy is None:
            raise ValueError("unseen_accuracy should be a number, since there are unseen words")
        return self


class _Translation(Open):
    n: Count
    exact_match: Fraction
    exact_match_interval: Interval
    word_edit_rate: Positive
    bleu: Positive
    chrf: Positive
    loss_nats: Positive


class _Generation(Open):
    characters: Count
    bits_per_character: Positive
    bits_per_character_interval: Interval
    loss_nats: Positive
    perplexity: Positive
    frequency_bits_per_character: Positive


class _Training(Open):
    updates: Count
    best_update: Count
    averaged: tuple[Count, ...] = ()
    stopped: str
    tokens_per_second: Positive


class _Machine(Open):
    processor: str
    threads: Count


def _as_recorded(config: Any) -> Any:
    """Return settings as they were when they were recorded, without the cache folder, where nothing is written.

    A setting that is missing is newer than the record: it has the default of the schema, with which the run was
    trained, and not the present default of its task.
    """
    if not isinstance(config, dict):
        return config
    filled = dict(config)
    for name, schema in SECTIONS.items():
        if isinstance(section := config.get(name), dict):
            filled[name] = {field: info.default for field, info in schema.model_fields.items()} | section
    if isinstance(filled.get("data"), dict):
        filled["data"] |= {"cache": None}
    return filled


RecordedConfig = Annotated[Config, BeforeValidator(_as_recorded)]
"""Settings as they are read from a run: see `_as_recorded`."""


class _Imported(Open):
    """The origin of a run that was not trained here."""

    layout: Label
    source: Path


class Record(Open, Generic[D, R]):
    """The content of run.json. What it says about other machines is recorded, not used."""

    config: RecordedConfig
    data: D
    imported: _Imported | None = None
    """None: the run was trained here."""
    decided: dict[str, Any] = Field(default_factory=dict)
    """Settings that followed from the data."""
    start: str | None = None
    parameters: Count
    training: _Training
    temperature: Annotated[float, Field(ge=1e-3, le=1e3)] = 1.0
    """Divisor of the logits, of a training with temperature_scale."""
    result: R | None
    backend: str
    machine: _Machine
    date: str


def record_schema(manifest: Manifest) -> type[Record[Any, Any]]:
    """Return the schema of run.json for the task of config.json."""
    schemas: dict[str, type[Record[Any, Any]]] = {
        "classify": Record[_Labelled, _Classification],
        "regress": Record[_Numbered, _Regression],
        "tag": Record[_Tagged, _Tagging],
        "translate": Record[_Pairs, _Translation],
        "generate": Record[_Texts, _Generation],
    }
    return Record[_MultiLabelled, _MultiLabel] if manifest.multi_label else schemas[manifest.task]


class _Named(Open):
    name: str
    source: Path | list[Path]


class RecordedPlan(Open):
    """The entries of plan.json that a list of trainings shows."""

    config: RecordedConfig
    data: _Named


class _Counted(Open):
    update: Count
    updates: Count


class RecordedProgress(Open):
    """The entries of a checkpoint's progress.json that a list of trainings shows."""

    progress: _Counted
