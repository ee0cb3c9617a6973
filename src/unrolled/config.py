"""The schema of all settings: TOML on disk, flags on the command line, keyword arguments in Python.

Three sections; every field name is unique across them, so that a flag needs no section (`--hidden-size 256`).
`unrolled config` prints all settings with their defaults.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo

from unrolled import lineage
from unrolled.errors import ConfigError, excerpt, nearest, reason
from unrolled.task_defaults import MODEL, TASK, TASK_DEFAULTS

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

_Reason = dict[str, JsonValue]
LARGEST_SEED = 2**63 - 1
MOST_UPDATES = 10**12
LONGEST_TIME = 10 * 366 * 24 * 3600  # seconds
FEW_BITS: _Reason = {"reason": "a seed has 63 bits"}
NO_END: _Reason = {"reason": "no training takes more updates"}
NO_DATA: _Reason = {"reason": "no data have more"}
NO_MEMORY: _Reason = {"reason": "more fits into no memory"}
FLOAT32: _Reason = {"reason": "beyond, float32 overflows"}
"""Reasons for the bounds of settings, for messages."""


class _Section(BaseModel):
    # defer_build: `--help` shows the fields and validates none, so validators are built on first use
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)


class DataConfig(_Section):
    """Settings of the data: columns, splits, tokenizer, images."""

    text: str = Field("text", description="column (or JSON key) of the text")
    label: str = Field("label", description="column (or JSON key) of the label; of the tag in CoNLL-U")
    source: str = Field("source", description="column (or JSON key) of the source (task translate)")
    target: str = Field("target", description="column (or JSON key) of the target (task translate)")
    header: bool = Field(
        True,
        description="the first row of a CSV or TSV file names the columns; --no-header: it is data, and columns are "
        "named by number, as in --text 2 --label 1",
    )
    valid: str | None = Field(None, description="file with the validation examples, instead of a split of the data")
    test: str | None = Field(None, description="file with the test examples, instead of a split of the data")
    valid_fraction: float = Field(0.1, ge=0, lt=1, description="fraction of the data for the validation split")
    test_fraction: float = Field(0.1, ge=0, lt=1, description="fraction of the data for the test split")
    split_seed: int = Field(
        0,
        ge=0,
        le=LARGEST_SEED,
        json_schema_extra=FEW_BITS,
        description="seed of the splits (equal texts are always in the same split)",
    )
    on_bad_row: Literal["stop", "skip"] = Field(
        "stop", description="stop at a bad row, or skip it (skipped rows are counted and listed)"
    )
    tokenizer: Literal["character", "byte", "word", "bpe"] = Field("word", description="unit of a token")
    source_tokenizer: Literal["character", "byte", "word", "bpe"] | None = Field(
        None, description="unit of a source token (task translate); default: the same as --tokenizer"
    )
    shared_vocabulary: bool = Field(False, description="one vocabulary for sources and targets (task translate)")
    vocabulary_size: int = Field(
        20_000,
        ge=6,
        le=10**7,
        json_schema_extra=NO_MEMORY,
        description="maximum number of tokens in the vocabulary, including 5 special ones",
    )
    whole_words: int = Field(
        0,
        ge=0,
        le=10**7,
        json_schema_extra=NO_MEMORY,
        description="maximum number of whole words added to the vocabulary, each read after its subwords (task tag)",
    )
    min_frequency: int = Field(
        2,
        ge=1,
        le=10**9,
        json_schema_extra=NO_DATA,
        description="minimum number of occurrences in the training split; rarer tokens become <unk>",
    )
    lowercase: bool = Field(True, description="convert text to lower case (tokenizer word only)")
    normalize: Literal["none", "nfc", "nfkc"] = Field(
        "none",
        description="normal form of Unicode to which all texts are brought: nfc composes characters, nfkc also unifies "
        "their variants (tokenizer word composes anyway)",
    )
    max_length: int = Field(
        512,
        ge=1,
        le=10**9,
        json_schema_extra=NO_DATA,
        description="maximum tokens of a source or target (task translate)",
    )
    truncate: bool = Field(
        False,
        description="truncate sources and targets beyond the maximum length instead of refusing them (task translate)",
    )
    by: Literal["image", "row", "column", "pixel"] | None = Field(
        None,
        description="time steps of an image: the whole image at once, or one row, column or pixel a step; default for "
        "image data: image with model feedforward, else row",
    )
    permutation_seed: int | None = Field(
        None,
        ge=0,
        le=LARGEST_SEED,
        json_schema_extra=FEW_BITS,
        description="seed of a random permutation of the pixels, the same for all images (permuted MNIST)",
    )
    cache: str | None = Field(
        None, description="folder where the ids of a text are cached (task generate); default: the user's cache folder"
    )

    @field_validator("valid", "test", "cache")
    @classmethod
    def _path_is_one(cls, path: str | None) -> str | None:
        if path is not None and ("\0" in path or not path):
            raise ValueError(f"{excerpt(repr(path))} is no name of a file or folder: it is empty or holds a NUL")
        return path

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

    name: str = Field(MODEL, description="model architecture")
    embedding_size: int = Field(
        128, ge=1, le=65_536, json_schema_extra=NO_MEMORY, description="size D of token embeddings"
    )
    embedding_std: float = Field(
        0.1,
        gt=0,
        le=1_000,
        json_schema_extra={"reason": "the outputs of larger embeddings have no gradient"},
        description="standard deviation of initial embeddings: small if most tokens are rare, 1 if all are frequent",
    )
    hidden_size: int = Field(
        128, ge=1, le=65_536, json_schema_extra=NO_MEMORY, description="size H of a hidden layer or state"
    )
    num_layers: int = Field(1, ge=1, le=1_000, json_schema_extra=NO_MEMORY, description="number of stacked layers")
    bidirectional: bool = Field(
        False, description="read the sequence in both directions; model feedforward: a window centred on each step"
    )
    read: Literal["last", "mean", "max"] | None = Field(
        None, description="pooling of the outputs into one answer; default: last, or mean with model feedforward"
    )
    window: int | None = Field(
        None,
        ge=1,
        le=65_536,
        json_schema_extra=NO_MEMORY,
        description="context window in tokens: model feedforward with an answer at each step (default: 16), model gpt "
        "(64); model transformer: maximum length of a sequence (default: unlimited, or 1024 with learned positions)",
    )
    num_heads: int = Field(
        4,
        ge=1,
        le=1_000,
        json_schema_extra=NO_MEMORY,
        description="number N of attention heads (models transformer, gpt)",
    )
    feedforward_size: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        json_schema_extra=NO_MEMORY,
        description="inner size of a block's feedforward network; default: 4 hidden_size",
    )
    norm: Literal["pre", "post"] = Field("pre", description="layer normalisation before or after the layers of a block")
    position: Literal["sinusoidal", "learned"] = Field("sinusoidal", description="position encoding of attention")
    dropout: float = Field(0.4, ge=0, lt=1, description="dropout rate of embeddings and layer outputs")
    variational: bool = Field(
        False, description="use one dropout mask for all steps of a sequence (Gal & Ghahramani 2016)"
    )
    recurrent_dropout: float = Field(
        0.0, ge=0, lt=1, description="dropout rate of the recurrent input h, with one mask for all steps"
    )
    zoneout: float = Field(
        0.0, ge=0, lt=1, description="probability that a unit of a recurrent state keeps its previous value at a step"
    )
    nonlinearity: Literal["tanh", "relu", "gelu"] | None = Field(
        None,
        description="activation function of models elman (default tanh; no gelu), feedforward and transformer (relu), "
        "gpt (gelu)",
    )
    forget_bias: float | None = Field(
        None,
        ge=-1_000,
        le=1_000,
        json_schema_extra={"reason": "the gate is saturated long before"},
        description="initial bias of the LSTM's forget gate; default: 1",
    )
    cell: str | None = Field(
        None,
        description="cell of the recurrent layers: of models encoder_decoder and attention any (default: gru), of "
        "models lstm and gru also layernorm_lstm and layernorm_gru",
    )
    reverse_source: bool = Field(
        False,
        description="read the source in reverse order, so that its first tokens are the most recent (task translate)",
    )
    score: Literal["additive", "dot", "general"] = Field(
        "additive", description="attention score of model attention, between decoder state and source"
    )
    input_feeding: bool = Field(
        False, description="feed the attention output of a step into the next step (score dot or general)"
    )
    tied: bool = Field(
        False,
        description="share the weights of the head and the target embedding; with a shared vocabulary of the source "
        "embedding, too",
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
    """Settings of the optimiser, its schedule, and the device."""

    updates: int | None = Field(
        None,
        ge=1,
        le=MOST_UPDATES,
        json_schema_extra=NO_END,
        description="number of optimiser updates; takes precedence over --epochs",
    )
    epochs: float = Field(
        10, gt=0, le=10**6, json_schema_extra=NO_END, description="number of passes over the training split"
    )
    time_limit: str | None = Field(
        None,
        description="training time, e.g. 90s, 10m or 1.5h; converted to updates, takes precedence over --updates and "
        "--epochs",
    )
    batch_tokens: int = Field(
        2048, ge=1, le=10**9, json_schema_extra=NO_MEMORY, description="maximum tokens in a batch, including padding"
    )
    batch_images: int = Field(128, ge=1, le=10**6, json_schema_extra=NO_MEMORY, description="images in a batch")
    checkpoint_every: int | None = Field(
        None,
        ge=1,
        le=MOST_UPDATES,
        json_schema_extra=NO_END,
        description="updates between checkpoints; default: every 10 seconds, or less often so that they take 2 % of "
        "the time",
    )
    streams: int = Field(
        16,
        ge=1,
        le=65_536,
        json_schema_extra=NO_MEMORY,
        description="number of parallel streams of the text in a batch (task generate)",
    )
    chunk: int = Field(
        64,
        ge=1,
        le=10**6,
        json_schema_extra=NO_MEMORY,
        description="tokens of each stream in a batch, and steps of truncated backpropagation (task generate; model "
        "gpt reads whole windows)",
    )
    accumulate: int = Field(
        1,
        ge=1,
        le=10_000,
        json_schema_extra={"reason": "all its batches are held in memory"},
        description="batches whose gradients are summed into one update",
    )
    learning_rate: float = Field(
        2e-3, gt=0, le=1_000, json_schema_extra=FLOAT32, description="peak learning rate of AdamW"
    )
    warmup: float = Field(0.05, ge=0, le=1, description="fraction of the updates in which the learning rate rises")
    schedule: Literal["cosine", "inverse_sqrt", "plateau", "constant"] = Field(
        "cosine",
        description="learning rate after the warm-up: falling to 0 as a cosine, falling as 1 / √updates, reduced "
        "when the validation loss stops improving, or constant",
    )
    plateau_patience: int = Field(
        2,
        ge=1,
        le=MOST_UPDATES,
        json_schema_extra=NO_END,
        description="evaluations without improvement before schedule plateau reduces the learning rate",
    )
    plateau_factor: float = Field(
        0.5, gt=0, lt=1, description="factor by which schedule plateau reduces the learning rate"
    )
    weight_decay: float = Field(
        0.01, ge=0, le=1_000, json_schema_extra=FLOAT32, description="decoupled weight decay of weight matrices"
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="fraction of each target that is spread over all outputs"
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none",
        description="weights of classes in the loss; balanced: inversely proportional to their frequency (classify, "
        "tag)",
    )
    average: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="decay of the moving average of the weights, e.g. 0.999; the averaged weights are evaluated and "
        "saved; 0: none",
    )
    precision: Literal["float32", "bf16"] = Field(
        "float32", description="precision of matrix products in training; with bf16, states and sums stay in float32"
    )
    clip: float = Field(
        1.0, gt=0, le=1e30, json_schema_extra=FLOAT32, description="maximum norm of the gradient of an update"
    )
    evaluate_every: int | None = Field(
        None,
        ge=1,
        le=MOST_UPDATES,
        json_schema_extra=NO_END,
        description="updates between evaluations; default: once an epoch, at most 20 times in total",
    )
    patience: int = Field(
        4,
        ge=0,
        le=MOST_UPDATES,
        json_schema_extra=NO_END,
        description="evaluations without improvement before training stops; 0: never",
    )
    keep: Literal["snapshots"] | None = Field(
        None, description="snapshots: save the weights as float16 at ten updates, at growing intervals"
    )
    tensorboard: bool = Field(
        False, description="also write events for TensorBoard (needs the extra unrolled[tensorboard])"
    )
    seed: int = Field(
        0,
        ge=0,
        le=LARGEST_SEED,
        json_schema_extra=FEW_BITS,
        description="seed of the initial weights, the order of examples and dropout",
    )
    device: Device = Field("auto", description="device of the computation")
    threads: int | None = Field(
        None,
        ge=1,
        le=1_024,
        json_schema_extra={"reason": "no processor has more cores"},
        description="CPU threads; default: chosen by PyTorch",
    )
    backend: Literal["auto", "reference", "torch", "fused"] = Field(
        "auto", description="implementation of the recurrent layers"
    )

    @field_validator("time_limit")
    @classmethod
    def _time_limit_is_a_time(cls, text: str | None) -> str | None:
        if text is not None:
            seconds(text)
        return text


def seconds(time: str) -> float:
    """Return the seconds of a time as 90s, 10m or 1.5h.

    Raises:
        ValueError: the text is not a time above 0.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", time)
    limit = float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]] if match else 0
    if not limit:
        raise ValueError(f"time_limit should be a time above 0, as 90s, 10m or 1.5h: got {excerpt(repr(time))}")
    if limit > LONGEST_TIME:
        raise ValueError(f"time_limit should be at most 10 years (no training takes longer): got {excerpt(repr(time))}")
    return limit


class Config(_Section):
    """All settings of a run: the task and the three sections."""

    task: str = Field(TASK, description="task: classify, tag, translate or generate")
    data: DataConfig = Field(default_factory=DataConfig)
    model: ModelConfig = Field(default_factory=ModelConfig)
    training: TrainingConfig = Field(default_factory=TrainingConfig)

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_task(cls, values: Any) -> Any:
        """Fill in the defaults of the task. Values that are not mappings are refused later, with our own message."""
        if not isinstance(values, Mapping):
            return values
        own = _own_defaults(values)
        filled = dict(values)
        for section, defaults in _by_section(own).items():
            present = filled.get(section, {})
            if isinstance(present, _Section):
                present = present.model_dump(exclude_unset=True)
            if isinstance(present, Mapping):
                filled[section] = defaults | dict(present)
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
"""Flat name of the setting `name` in the section [model], as in `--model gru`."""


def _own_defaults(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults, by flat name, for the task and model of nested settings (valid or not)."""
    task = str(values.get("task", TASK))
    images = task == TASK and _get(values.get("data"), "by") is not None
    own = {MODEL_NAME: MODEL, **TASK_DEFAULTS.get("images" if images else task, {})}
    model = _get(values.get("model"), "name") or own[MODEL_NAME]
    return own | TASK_DEFAULTS.get(f"{task} {model}", {})


def _get(section: object, key: str) -> Any:
    """Return a value of a section, which may be a mapping, a pydantic model, or any value that a user wrote."""
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
    """Yield (section or None, name in the section, flat name, field) of every setting."""
    yield None, "task", "task", Config.model_fields["task"]
    for section, schema in SECTIONS.items():
        for name, field in schema.model_fields.items():
            yield section, name, MODEL_NAME if (section, name) == ("model", "name") else name, field


def from_flat(settings: Mapping[str, Any], base: Config | None = None) -> Config:
    """Build a Config from flat settings (`{"model": "lstm", "hidden_size": 256}`) over `base` or the defaults.

    If the settings change the task of `base`, or its data from text to images, values that equal the default of the
    old task become the default of the new one.

    Raises:
        ConfigError: an unknown name (the message gives the nearest) or a value out of range.
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
    """Return the settings of a TOML file by flat name, without defaults.

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
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise ConfigError(f"{path} is a pipe or a device: settings are read more than once, so name a file")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read as a configuration: {reason(error)}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 (byte {error.start}): convert it") from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}; `unrolled config` prints a valid one") from None
    return _validated(values, file=str(path), text=text)


def refuse_unused(config: Config, who: str, unused: Collection[str]) -> None:
    """Refuse settings that differ from their default though `who` does not use them.

    Raises:
        ConfigError: with the name of the setting and its value.
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
    """Return a value as TOML, which writes text, numbers, true and false as JSON does (except one character)."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _validated(values: Mapping[str, Any], *, file: str | None = None, text: str = "") -> Config:
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(sentences(error, file, text))) from None


def sentences(error: ValidationError, file: str | None = None, text: str = "") -> Iterator[str]:
    """Yield a sentence for each problem that pydantic reports: location, problem, value.

    Args:
        error: from pydantic.
        file, text: name and contents of the TOML file, if the settings were read from one.
    """
    for problem in error.errors(include_url=False):
        *path, key = [str(name) for name in problem["loc"]] or [MODEL_NAME]
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
            yield f"{where}{key} {message}{_reason(path, key, problem['type'])}: got {excerpt(repr(problem['input']))}"


def _reason(path: Sequence[str], key: str, problem: str) -> str:
    """Return the reason for the bound of a setting, in parentheses; "" where it needs none."""
    schema = SECTIONS.get(path[-1]) if path else None
    extra = schema.model_fields[key].json_schema_extra if schema and key in schema.model_fields else None
    return f" ({extra['reason']})" if problem == "less_than_equal" and isinstance(extra, dict) else ""


def _line_of(text: str, section: str | None, key: str) -> int:
    """Return the physical line on which `key` of `section` is set, or else the first that mentions the key."""
    current: str | None = None
    mentions = []
    for number, line in enumerate(text.split("\n"), start=1):
        if header := re.match(r"\s*\[\s*([\w-]+)\s*\]", line):
            current = header[1]
        if current == section and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
            return number
        if key in line.partition("#")[0]:
            mentions.append(number)
    return mentions[0] if mentions else 1
