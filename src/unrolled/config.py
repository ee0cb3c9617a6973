"""The one schema of every setting: TOML on disk, flags on the command line, keyword arguments in Python.

Three sections; every field name is unique across them, so that a flag needs no section (`--hidden-size 256`).
`unrolled config` prints the whole of it with its defaults.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo

from unrolled import lineage
from unrolled.defaults import MODEL, TASK, TASK_DEFAULTS
from unrolled.errors import ConfigError, excerpt, nearest

__all__ = [
    "MODEL_NAME",
    "Config",
    "DataConfig",
    "Device",
    "ModelConfig",
    "TrainingConfig",
    "chosen",
    "fields",
    "from_flat",
    "from_toml",
    "refuse_unused",
    "seconds",
    "sentences",
    "to_toml",
]

Device = Literal["auto", "cpu", "cuda", "mps"]


class _Section(BaseModel):
    # defer_build: `--help` shows the fields and validates none, so their building can wait
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)


class DataConfig(_Section):
    """What is read, how it is split, and how text becomes ids."""

    text: str = Field("text", description="column (or JSON key) that holds the text")
    label: str = Field("label", description="column (or JSON key) that holds the label; of CoNLL-U the tag")
    source: str = Field("source", description="column (or JSON key) that holds the source (task translate)")
    target: str = Field("target", description="column (or JSON key) that holds the target (task translate)")
    valid: str | None = Field(None, description="file with the validation examples, instead of a split")
    test: str | None = Field(None, description="file with the test examples, instead of a split")
    valid_fraction: float = Field(0.1, ge=0, lt=1, description="share of the file that becomes the validation split")
    test_fraction: float = Field(0.1, ge=0, lt=1, description="share of the file that becomes the test split")
    split_seed: int = Field(0, ge=0, description="seed of the split (equal texts always stay together)")
    on_bad_row: Literal["stop", "skip"] = Field("stop", description="stop at a bad row, or skip, count and list it")
    tokenizer: Literal["character", "byte", "word", "bpe"] = Field("word", description="what one token is")
    source_tokenizer: Literal["character", "byte", "word", "bpe"] | None = Field(
        None, description="what one token of a source is (task translate); default: as of the target, --tokenizer"
    )
    shared_vocabulary: bool = Field(False, description="one vocabulary for sources and targets (task translate)")
    vocabulary_size: int = Field(20_000, ge=6, description="most tokens to keep, the 5 special ones included")
    whole_words: int = Field(0, ge=0, description="most words that stand behind their pieces, whole (task tag)")
    min_frequency: int = Field(2, ge=1, description="a token seen less often in the training split becomes <unk>")
    lowercase: bool = Field(True, description="fold upper case away (tokenizer word only)")
    max_length: int = Field(512, ge=1, description="most tokens of a source or target (task translate)")
    truncate: bool = Field(
        False, description="truncate longer sources and targets instead of refusing them (task translate)"
    )
    by: Literal["image", "row", "column", "pixel"] | None = Field(
        None,
        description="how images are read: at once, or in steps of a row, a column or a pixel; default, where the data "
        "are images: image in model feedforward, else row",
    )
    permutation_seed: int | None = Field(
        None, ge=0, description="seed of another order of the pixels, the same for all images (permuted MNIST)"
    )
    cache: str | None = Field(
        None, description="folder for the ids of a text, made once (task generate); default: the user's cache folder"
    )

    @model_validator(mode="after")
    def _one_vocabulary_has_one_tokenizer(self) -> Self:
        if self.shared_vocabulary and self.source_tokenizer not in (None, self.tokenizer):
            raise ValueError(
                f"shared_vocabulary needs one tokenizer for both sides: got {self.source_tokenizer} for sources and "
                f"{self.tokenizer} for targets"
            )
        return self


class ModelConfig(_Section):
    """The model's name, sizes and options. A model refuses options that it does not use."""

    name: str = Field(MODEL, description="the model: an architecture of the lineage")
    embedding_size: int = Field(128, ge=1, le=65_536, description="size D of a token's vector")
    embedding_std: float = Field(
        0.1,
        gt=0,
        description="spread of fresh token vectors: small where most tokens are rare, 1 where all are frequent",
    )
    hidden_size: int = Field(128, ge=1, le=65_536, description="size H of a hidden layer or state")
    num_layers: int = Field(1, ge=1, le=1_000, description="layers on top of each other")
    bidirectional: bool = Field(False, description="read from both ends; model feedforward: a window around each step")
    read: Literal["last", "mean", "max"] | None = Field(
        None, description="what the one answer is read from; default: last, in model feedforward mean"
    )
    window: int | None = Field(
        None,
        ge=1,
        le=65_536,
        description="context window in tokens: of model feedforward where it answers at each step (default: 16), of "
        "model gpt (64); of model transformer the longest sequence (default: any, or 1024 with learned positions)",
    )
    num_heads: int = Field(4, ge=1, le=1_000, description="heads N of attention (models transformer, gpt)")
    feedforward_size: int | None = Field(
        None, ge=1, le=1_000_000, description="inner size of a block's feedforward network; default: 4 hidden_size"
    )
    norm: Literal["pre", "post"] = Field("pre", description="where a block's norms stand: before its parts or after")
    position: Literal["sinusoidal", "learned"] = Field(
        "sinusoidal", description="what says a step's place to attention"
    )
    dropout: float = Field(0.4, ge=0, lt=1, description="share of embeddings and layer outputs dropped in training")
    variational: bool = Field(False, description="one dropout mask for all steps of a sequence (Gal & Ghahramani 2016)")
    recurrent_dropout: float = Field(
        0.0, ge=0, lt=1, description="share of h dropped on its way back in, one mask a call"
    )
    zoneout: float = Field(
        0.0, ge=0, lt=1, description="probability that a unit of a recurrent state keeps its previous value at a step"
    )
    nonlinearity: Literal["tanh", "relu", "gelu"] | None = Field(
        None, description="of model elman (default tanh; no gelu), feedforward and transformer (relu), gpt (gelu)"
    )
    forget_bias: float | None = Field(None, description="what the LSTM's forget gate starts with; default: 1")
    cell: str | None = Field(
        None,
        description="cell of the recurrent layers, of models encoder_decoder and attention any (default: gru), of lstm and gru "
        "also the one with layer normalisation",
    )
    reverse_source: bool = Field(
        False, description="read the source from its end, so that its first tokens are the freshest (task translate)"
    )
    score: Literal["additive", "dot", "general"] = Field(
        "additive", description="how model attention compares the decoder's state with the source"
    )
    input_feeding: bool = Field(
        False, description="show each step what the one before it made of the source (score dot or general)"
    )
    tied: bool = Field(
        False, description="the head's weights are the tokens' vectors; the source's, too, of a shared vocabulary"
    )

    @field_validator("cell")
    @classmethod
    def _cell_is_known(cls, cell: str | None) -> str | None:
        if cell is not None and cell not in lineage.CELLS:
            raise ValueError(
                f'cell "{cell}" is unknown{nearest(cell, lineage.CELLS)}; cells are {", ".join(lineage.CELLS)}'
            )
        return cell


class TrainingConfig(_Section):
    """The optimiser, its schedule, and where it runs."""

    updates: int | None = Field(None, ge=1, le=10**12, description="optimiser updates; goes before --epochs")
    epochs: float = Field(10, gt=0, le=10**6, description="passes over the training split")
    time_limit: str | None = Field(
        None, description="time for training, as 90s, 10m or 1.5h; becomes a number of updates, goes before all others"
    )
    batch_tokens: int = Field(2048, ge=1, description="most tokens (padding included) in a batch")
    batch_images: int = Field(128, ge=1, description="images in a batch")
    checkpoint_every: int | None = Field(
        None, ge=1, description="updates between checkpoints; default: every 10 seconds, or less often: 2 % of the time"
    )
    streams: int = Field(16, ge=1, description="places of the text that are read side by side (task generate)")
    chunk: int = Field(
        64,
        ge=1,
        description="tokens of a stream in one batch; the gradient reaches no further back (task generate; model gpt "
        "reads whole windows)",
    )
    accumulate: int = Field(1, ge=1, description="batches summed into one update")
    learning_rate: float = Field(2e-3, gt=0, description="largest learning rate of AdamW")
    warmup: float = Field(0.05, ge=0, le=1, description="share of the updates in which the rate climbs")
    schedule: Literal["cosine", "inverse_sqrt", "plateau", "constant"] = Field(
        "cosine",
        description="the rate after the warm-up: down to 0, falling as 1 / √updates, reduced when the validation loss "
        "stands, or as it is",
    )
    plateau_patience: int = Field(
        2, ge=1, description="evaluations without a better one before plateau reduces the rate"
    )
    plateau_factor: float = Field(0.5, gt=0, lt=1, description="what plateau multiplies the rate with")
    weight_decay: float = Field(0.01, ge=0, description="decoupled weight decay of matrices")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of each target that is spread over all outputs")
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="balanced: rare classes count for more, so that all weigh the same (classify, tag)"
    )
    average: float = Field(
        0.0, ge=0, lt=1, description="decay of the average of the weights that is evaluated and kept, as 0.999; 0: none"
    )
    precision: Literal["float32", "bf16"] = Field(
        "float32", description="of products in training; with bf16, states and sums stay in float32"
    )
    clip: float = Field(1.0, gt=0, description="largest norm of an update's gradient")
    evaluate_every: int | None = Field(
        None, ge=1, description="updates between evaluations; default: once an epoch, but at most 20 times in all"
    )
    patience: int = Field(4, ge=0, description="evaluations without a better one before training stops; 0: never")
    keep: Literal["snapshots"] | None = Field(
        None, description="snapshots: keep the weights after ten updates, ever further apart, as float16"
    )
    tensorboard: bool = Field(False, description="write events for TensorBoard, too (an extra)")
    seed: int = Field(0, ge=0, description="seed of the weights, the order and the dropout")
    device: Device = Field("auto", description="where to compute")
    threads: int | None = Field(None, ge=1, description="CPU threads; default: torch's own choice")
    backend: Literal["auto", "reference", "torch", "fused"] = Field("auto", description="what computes the scan")

    @field_validator("time_limit")
    @classmethod
    def _time_limit_is_a_time(cls, text: str | None) -> str | None:
        if text is not None:
            seconds(text)
        return text


def seconds(time: str) -> float:
    """Return the seconds of a time as 90s, 10m or 1.5h.

    Raises:
        ValueError: it is none, or none at all.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", time)
    if found is None or not float(found[1]):
        raise ValueError(f"time_limit should be a time above 0, as 90s, 10m or 1.5h: got {excerpt(repr(time))}")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


class Config(_Section):
    """All settings of a run: the task and the three sections."""

    task: str = Field(TASK, description="the job: classify, tag, translate or generate")
    data: DataConfig = Field(default_factory=DataConfig)
    model: ModelConfig = Field(default_factory=ModelConfig)
    training: TrainingConfig = Field(default_factory=TrainingConfig)

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_task(cls, values: Any) -> Any:
        """Fill in what the task does not leave to the schema. What is no mapping is refused later, in words."""
        if not isinstance(values, Mapping):
            return values
        own = _own_defaults(values)
        filled = dict(values)
        for section, defaults in _by_section(own).items():
            given = filled.get(section, {})
            if isinstance(given, _Section):
                given = given.model_dump(exclude_unset=True)
            if isinstance(given, Mapping):
                filled[section] = defaults | dict(given)
        return filled

    @field_validator("task")
    @classmethod
    def _task_is_built(cls, name: str) -> str:
        return lineage.task(name).name

    @model_validator(mode="after")
    def _model_serves_task(self) -> Self:
        lineage.check(self.task, self.model.name)
        return self

    def flat(self) -> dict[str, Any]:
        """Return every setting by its flat name."""
        return {
            flat: getattr(self if section is None else getattr(self, section), name)
            for section, name, flat, _ in fields()
        }


SECTIONS: dict[str, type[_Section]] = {"data": DataConfig, "model": ModelConfig, "training": TrainingConfig}


MODEL_NAME = "model"
"""The flat name of the model's name, as in `--model gru`: `name` in the section [model]."""


def _own_defaults(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults, by flat name, of the task and model that nested settings (valid or not) are for."""
    task = str(values.get("task", TASK))
    images = task == TASK and _get(values.get("data"), "by") is not None
    own = {MODEL_NAME: MODEL, **TASK_DEFAULTS.get("images" if images else task, {})}
    model = _get(values.get("model"), "name") or own[MODEL_NAME]
    return own | TASK_DEFAULTS.get(f"{task} {model}", {})


def _get(section: object, key: str) -> Any:
    """Return a value of a section, which may be a mapping, a model of pydantic, or anything a user wrote."""
    if isinstance(section, _Section):
        return getattr(section, key) if key in section.model_fields_set else None
    return section.get(key) if isinstance(section, Mapping) else None


def _by_section(own: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    nested: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    for section, name, flat, _ in fields():
        if section is not None and flat in own:
            nested[section][name] = own[flat]
    return nested


def fields() -> Iterator[tuple[str | None, str, str, FieldInfo]]:
    """Yield (section or None, name in the section, flat name, field) for every setting."""
    yield None, "task", "task", Config.model_fields["task"]
    for section, schema in SECTIONS.items():
        for name, field in schema.model_fields.items():
            yield section, name, MODEL_NAME if (section, name) == ("model", "name") else name, field


def from_flat(settings: Mapping[str, Any], base: Config | None = None) -> Config:
    """Build a Config from flat settings (`{"model": "lstm", "hidden_size": 256}`) over `base` or the defaults.

    Where the settings change the task of `base`, or make it one of images, values that stand at the default of its
    task become the defaults of the other task.

    Raises:
        ConfigError: an unknown name (the nearest is named) or a value out of range.
    """
    homes = {flat: (section, name) for section, name, flat, _ in fields()}
    base = base or Config()
    nested: dict[str, Any] = base.model_dump()
    before = _own_defaults(nested)
    if nested["model"]["name"] == before[MODEL_NAME]:
        del nested["model"]["name"]
    requested = dict(nested) | ({"task": settings["task"]} if "task" in settings else {})
    if MODEL_NAME in settings:
        requested["model"] = {"name": settings[MODEL_NAME]}
    after = _own_defaults({**requested, "data": {"by": settings.get("by", base.data.by)}})
    if after != before:
        for section, schema in SECTIONS.items():
            default = schema(**_by_section(before)[section]).model_dump()
            nested[section] = {name: v for name, v in nested[section].items() if v != default[name]}
    for flat, value in settings.items():
        if flat not in homes:
            raise ConfigError(f'unknown setting "{flat}"{nearest(flat, homes)}; `unrolled config` lists all')
        home, key = homes[flat]
        (nested if home is None else nested[home])[key] = value
    return _validated(nested)


def chosen(path: Path) -> dict[str, Any]:
    """Return, by flat name, the settings that stand in a TOML file, and no other.

    Raises:
        ConfigError: as `from_toml`.
    """
    values = from_toml(path).flat()
    stored = tomllib.loads(path.read_text(encoding="utf-8"))
    return {
        flat: values[flat]
        for section, name, flat, _ in fields()
        if name in (stored.get(section, {}) if section else stored)
    }


def from_toml(path: Path) -> Config:
    """Read a Config from a TOML file with the sections [data], [model] and [training].

    Raises:
        ConfigError: the file is missing or not TOML, or a key is unknown or out of range; the message names the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read as a configuration: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 (byte {error.start}): convert it") from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}; `unrolled config` prints one that is") from None
    return _validated(values, file=str(path), text=text)


def refuse_unused(config: Config, who: str, unused: Collection[str]) -> None:
    """Refuse settings that differ from their default though `who` does not use them.

    Raises:
        ConfigError: names the setting and what was got.
    """
    defaults = from_flat({"task": config.task, "by": config.data.by}).flat() | {"by": None}
    values = config.flat()
    for name in sorted(unused):
        if values[name] != defaults[name]:
            raise ConfigError(f"{who} does not use {name}: remove it (got {values[name]!r})")


def to_toml(config: Config) -> str:
    """Return every setting as TOML, with its description as a comment; settings that are None are commented out."""
    lines: list[str] = []
    current: str | None = None
    values = config.flat()
    for section, name, flat, field in fields():
        if section != current:
            lines += ["", f"[{section}]"]
            current = section
        value = values[flat]
        setting = f"# {name} =" if value is None else f"{name} = {_toml(value)}"
        lines.append(f"{setting:32}  # {field.description}")
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    """A value as TOML, which writes text, numbers, true and false as JSON does (but for one character)."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _validated(values: Mapping[str, Any], *, file: str | None = None, text: str = "") -> Config:
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(sentences(error, file, text))) from None


def sentences(error: ValidationError, file: str | None = None, text: str = "") -> Iterator[str]:
    """Yield a sentence for each problem that pydantic found, in our words: where, what was wrong, what was got.

    `file` and `text` are the TOML file's name and contents, where it was one.
    """
    for problem in error.errors(include_url=False):
        *path, key = [str(part) for part in problem["loc"]] or [MODEL_NAME]
        where = ""
        if file is not None:
            where = f"{file}, line {_line_of(text, path[0] if path else None, key)}: "
        if problem["type"] == "extra_forbidden":
            schema = SECTIONS.get(path[0], Config) if path else Config
            homes = {name: f"in [{section}]" if section else "before the sections" for section, name, _, _ in fields()}
            remedy = f"; it belongs {homes[key]}" if key in homes else nearest(key, schema.model_fields)
            yield f'{where}unknown setting "{key}"{remedy}'
        elif problem["type"] == "value_error":  # one of our own, from the lineage
            yield f"{where}{problem['ctx']['error']}"
        elif key in SECTIONS and isinstance(problem["input"], str):
            name = "name" if key == "model" else "…"
            yield f'{where}{key} is a section: write [{key}], and below it {name} = "{excerpt(problem["input"], 40)}"'
        else:
            message = problem["msg"].removeprefix("Input ")
            yield f"{where}{key} {message}: got {excerpt(repr(problem['input']))}"


def _line_of(text: str, section: str | None, key: str) -> int:
    """The physical line on which `key` of `section` is set; where that cannot be told, the first that mentions it."""
    current: str | None = None
    mentions = []
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[\s*([\w-]+)\s*\]", line):
            current = header[1]
        if current == section and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
            return number
        if key in line.partition("#")[0]:
            mentions.append(number)
    return mentions[0] if mentions else 1
