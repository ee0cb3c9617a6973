"""All settings of a run, in three sections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

from pydantic import Field, field_validator, model_validator
from pydantic.fields import FieldInfo

from unrolled import lineage
from unrolled.config.data import DataConfig
from unrolled.config.defaults import BY_DATA, IMAGES, MODEL, MULTI_LABEL, TASK, TASK_DEFAULTS, ByData
from unrolled.config.model import ModelConfig
from unrolled.config.section import Section
from unrolled.config.training import TrainingConfig

__all__ = ["MODEL_NAME", "SECTIONS", "Config", "by_data", "by_section", "fields", "most_batch_tokens", "own_defaults"]


class Config(Section):
    """All settings of a run: the task and the three sections."""

    task: str = Field(TASK, description="task: classify, regress, tag, translate or generate")
    data: DataConfig = Field(default_factory=DataConfig)
    model: ModelConfig = Field(default_factory=ModelConfig)
    training: TrainingConfig = Field(default_factory=TrainingConfig)

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_task(cls, values: Any) -> Any:
        """Fill in the defaults of the task. Values that are not mappings are refused later, with our own message."""
        if not isinstance(values, Mapping):
            return values
        own = own_defaults(values)
        filled = dict(values)
        for section, defaults in by_section(own).items():
            present = filled.get(section, {})
            if isinstance(present, Section):
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

    @model_validator(mode="after")
    def _vectors_are_of_words(self) -> Self:
        if self.training.vectors is not None and self.data.tokenizer != "word" and not self.data.whole_words:
            raise ValueError(
                f"vectors are of words, and the tokens are units of tokenizer {self.data.tokenizer}: add --tokenizer "
                "word, or remove --vectors"
            )
        return self

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        """Yield the task and the model, unless they are the defaults, and the settings that differ from theirs."""
        chosen = {"task": (self.task, TASK), MODEL_NAME: (self.model.name, MODEL)}
        yield from ((name, value) for name, (value, usual) in chosen.items() if value != usual)
        yield from self.differing().items()

    def differing(self) -> dict[str, Any]:
        """Return the settings that differ from the defaults of task and model, and those that name the kind of data."""
        data = {"by": self.data.by, MULTI_LABEL: self.data.multi_label}
        chosen = {"task": self.task, "data": data, "model": {"name": self.model.name}}
        default = Config.model_validate(chosen).flat() | {"by": None, MULTI_LABEL: False}
        return {name: value for name, value in self.flat().items() if value != default[name]}

    def flat(self) -> dict[str, Any]:
        """Return every setting by its flat name."""
        return {
            flat: getattr(self if section is None else getattr(self, section), name)
            for section, name, flat, _ in fields()
        }


SECTIONS: dict[str, type[Section]] = {"data": DataConfig, "model": ModelConfig, "training": TrainingConfig}


MODEL_NAME = "model"
"""Flat name of the setting `name` in the section [model], as in `--model gru`."""


def by_data(config: Config) -> ByData:
    """Return the settings of a task and model that follow from the data where they are not given."""
    task = IMAGES if config.data.by is not None else config.task
    return BY_DATA.get(f"{task} {config.model.name}") or BY_DATA[task]


def most_batch_tokens(config: Config) -> int:
    """Return the maximum tokens of a batch, as set, or else for many data."""
    usual = by_data(config).batch
    assert usual is not None, "a task whose batches count tokens"
    return config.training.batch_tokens or usual[1]


def own_defaults(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults, by flat name, for the task and model of nested settings (valid or not)."""
    task = str(values.get("task", TASK))
    kind = task
    if task == TASK and _get(values.get("data"), "by") is not None:
        kind = IMAGES
    elif task == TASK and _get(values.get("data"), "multi_label"):
        kind = MULTI_LABEL
    own = {MODEL_NAME: MODEL, **TASK_DEFAULTS.get(kind, {})}
    if task == TASK and _get(values.get("training"), "vectors") is not None:
        own["tokenizer"] = "word"
    model = _get(values.get("model"), "name") or own[MODEL_NAME]
    return own | TASK_DEFAULTS.get(f"{task} {model}", {})


def _get(section: object, key: str) -> Any:
    """Return a value of a section, which may be a mapping, a pydantic model, or any value that a user wrote."""
    if isinstance(section, Section):
        return getattr(section, key) if key in section.model_fields_set else None
    return section.get(key) if isinstance(section, Mapping) else None


def by_section(own: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return settings by flat name as one mapping for each section."""
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
