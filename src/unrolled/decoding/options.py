"""Options of decoding: one schema for command-line flags, keyword arguments and JSON.

A class for each verb and task that has options. A field holds the name of an option, its type, range, default and
description. `OPTIONS` lists the classes. This file imports nothing heavy, so that `--help` can be made from it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo

from unrolled.config import spelled
from unrolled.config.synonyms import suggestion
from unrolled.errors import ConfigError, excerpt

__all__ = [
    "LENGTH_PENALTY",
    "LONGEST",
    "OPTIONS",
    "WIDEST",
    "BeamOptions",
    "ClassOptions",
    "GenerationOptions",
    "GenerationStreamOptions",
    "Options",
    "RepetitionOptions",
    "SamplingOptions",
    "TranslationOptions",
    "TranslationStreamOptions",
    "check",
    "default_text",
    "documented",
    "fields",
]

LONGEST = 1_000_000_000
"""Upper bound on a length in tokens; keeps all lengths inside int64."""
WIDEST = 1_024
"""Upper bound on the size of a beam; a step compares `size` continuations of `size` hypotheses for each source."""
LENGTH_PENALTY = 0.6
"""Default exponent of a beam's length penalty (Wu et al. 2016)."""

Verb = Literal["decode", "stream", "evaluate"]
F = TypeVar("F", bound=Callable[..., Any])


def _temperature(value: float) -> float:
    if value != 0 and not 1e-9 <= value <= 1e9:  # beyond, quotients of float32 overflow
        raise ValueError(f"temperature must be 0 (greedy), or from 1e-9 to 1e9: got {value}")
    return value


def _stops(value: object) -> object:
    stops = (value,) if isinstance(value, str) else value
    if isinstance(stops, (list, tuple)) and "" in stops:
        raise ValueError("stop must not be empty: every text contains the empty text")
    return stops


Temperature = Annotated[
    float,
    AfterValidator(_temperature),
    Field(
        description="divisor of the logits: below 1 favours probable tokens, above 1 evens them out; 0 always takes "
        "the most probable token (greedy)",
        json_schema_extra={"minimum": 0, "maximum": 1e9},
    ),
]


class Options(BaseModel):
    """Base class of the options of one verb for one task; by itself, the options that every task has."""

    # defer_build: `--help` shows the fields and validates none, so their building can wait
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    precision: Literal["float32", "int8"] | None = Field(
        None,
        description="precision of matrix products: float32, or int8, which takes a quarter of the memory and, on a "
        "CPU, a fraction of the time; answers differ a little, and `evaluate` prints how much",
        json_schema_extra={"default_text": "float32"},
    )

    def of_task(self) -> dict[str, Any]:
        """Return the options that not every task has, by name."""
        return self.model_dump(exclude=set(Options.model_fields))

    @classmethod
    def parse(
        cls,
        values: Mapping[str, Any],
        *,
        task: str,
        defaults: Mapping[str, Any] | None = None,
        settings: Iterable[str] = (),
    ) -> Self:
        """Validate keyword arguments; None stands for an option's default.

        Args:
            values: options by name.
            task: the run's, for messages.
            defaults: values that take precedence over the defaults of the schema.
            settings: names that the caller takes next to the options, to be proposed for a misspelt one.

        Raises:
            ConfigError: an option is unknown (the nearest is named), belongs to another task or verb, is out of range,
                or has no effect next to the others.
        """
        chosen = {name: value for name, value in values.items() if value is not None}
        for name in chosen:
            if name not in cls.model_fields:
                raise ConfigError(_refusal(name, cls, task, settings))
        try:
            return cls.model_validate({**(defaults or {}), **chosen})
        except ValidationError as error:
            raise ConfigError("\n".join(_sentences(error, cls))) from None


class RepetitionOptions(Options):
    """Rules against repetition, of every strategy: the arguments of `Repetition`."""

    no_repeat_ngram: int = Field(
        0,
        ge=0,
        le=LONGEST,
        description="write no n tokens in a row twice, those of the prompt included",
        json_schema_extra={"default_text": "0, off"},
    )
    repetition_penalty: float = Field(
        1.0,
        gt=0,
        le=1_000,
        description="above 1 makes the tokens of the prompt and of the answer so far less probable: positive logits "
        "are divided by it, negative ones multiplied (Keskar et al. 2019)",
        json_schema_extra={"default_text": "1, off"},
    )

    def rules(self) -> dict[str, Any]:
        """Return the options of this class, by name."""
        return {
            name: getattr(self, name) for name in RepetitionOptions.model_fields if name not in Options.model_fields
        }


class SamplingOptions(RepetitionOptions):
    """Options that choose one token after another: the arguments of `Sampling`."""

    temperature: Temperature = 1.0
    top_k: int | None = Field(None, ge=1, le=LONGEST, description="choose among the k most probable tokens only")
    top_p: float = Field(
        1.0,
        gt=0,
        le=1,
        description="choose among the most probable tokens that together have this probability (Holtzman et al. 2020)",
    )
    seed: int = Field(
        0,
        ge=0,
        le=2**63 - 1,
        description="seed of the choices; each input has a generator of its own that starts from it",
    )

    @model_validator(mode="after")
    def _drawing_is_used(self) -> Self:
        self._refuse_unused()
        return self

    def _refuse_unused(self) -> None:
        unused = [name for name in _DRAWING if name in self.model_fields_set]
        if self.temperature == 0 and unused:
            raise ValueError(
                f"at temperature 0 nothing is drawn, so it does not use {', '.join(map(spelled, unused))}: leave it "
                "out, or give a temperature above 0"
            )


_ALWAYS = ("temperature", *RepetitionOptions.model_fields)  # used at temperature 0, too
_DRAWING = tuple(name for name in SamplingOptions.model_fields if name not in _ALWAYS)


class GenerationStreamOptions(SamplingOptions):
    """Options of `stream` for task generate."""

    length: int | None = Field(
        None,
        ge=0,
        le=LONGEST,
        description="maximum number of tokens to write",
        json_schema_extra={"default_text": "without end"},
    )
    stop: Annotated[tuple[str, ...], BeforeValidator(_stops)] = Field(
        (), description="end the answer before this text; may be repeated"
    )


class GenerationOptions(GenerationStreamOptions):
    """Options of `decode` for task generate."""

    length: int = Field(500, ge=0, le=LONGEST, description="maximum number of tokens to write")


class BeamOptions(RepetitionOptions):
    """Options of a beam search; those of `evaluate` for task translate."""

    beam: int = Field(1, ge=1, le=WIDEST, description="hypotheses kept for each source at each step; 1 is greedy")
    length_penalty: float = Field(
        LENGTH_PENALTY,
        ge=0,
        lt=100,
        description="with a beam: 0 ranks by probability, which favours short answers; larger values favour longer "
        "ones (Wu et al. 2016)",
    )

    @model_validator(mode="after")
    def _penalty_is_for_a_beam(self) -> Self:
        if self.beam == 1 and "length_penalty" in self.model_fields_set:
            raise ValueError("length_penalty needs a beam of at least 2: remove it, or set beam")
        return self


class TranslationStreamOptions(SamplingOptions):
    """Options of `stream` for task translate."""

    temperature: Temperature = 0.0
    length: int | None = Field(
        None,
        ge=1,
        le=LONGEST,
        description="maximum number of tokens to write, <eos> included",
        json_schema_extra={"default_text": "as the longest target of training"},
    )
    min_length: int = Field(0, ge=0, le=LONGEST, description="minimum number of tokens to write")
    prefix: Annotated[str, InstanceOf()] = Field("", description="text that each answer begins with")
    truncate: bool | None = Field(
        None,
        description="truncate sources beyond the run's maximum length instead of refusing them; their answers are "
        "marked",
        json_schema_extra={"default_text": "as in training"},
    )

    @model_validator(mode="after")
    def _lengths_agree(self) -> Self:
        if self.length is not None and self.min_length > self.length:
            raise ValueError(
                f"min_length must be from 0 to length, {self.length}: got {self.min_length}; give a smaller one, or a "
                "larger length"
            )
        return self


class TranslationOptions(BeamOptions, TranslationStreamOptions):
    """Options of `decode` for task translate."""

    n_best: int = Field(
        1,
        ge=1,
        le=WIDEST,
        description="with a beam: number of answers for each source, the best first; at most the beam's size",
    )

    @model_validator(mode="after")
    def _answers_fit_the_beam(self) -> Self:
        _check_n_best(self.n_best, self.beam)
        return self

    def _refuse_unused(self) -> None:
        if self.beam == 1:
            super()._refuse_unused()
        elif self.temperature != 0 or self.model_fields_set.intersection(_DRAWING):
            raise ValueError(
                f"a beam of {self.beam} searches; temperature, {', '.join(_DRAWING[:-1])} and {_DRAWING[-1]} are for "
                "drawing: leave one out"
            )


class ClassOptions(Options):
    """Options of `decode` for the tasks whose answers are classes."""

    top: int | None = Field(
        None,
        ge=1,
        le=LONGEST,
        description="number of classes to print for each text, image or word, the most probable first, with their "
        "probabilities; all classes with a large number",
        json_schema_extra={"default_text": "1, and all in JSON"},
    )


class MultiLabelOptions(Options):
    """Options of `decode` and `evaluate` for runs that give a text several labels."""

    threshold: float = Field(
        0.5, gt=0, lt=1, description="probability from which a label is answered (runs trained with --multi-label)"
    )


class ClassifyOptions(ClassOptions, MultiLabelOptions):
    """Options of `decode` for task classify; a run takes those of its kind."""


OPTIONS: dict[Verb, dict[str, type[Options]]] = {
    "decode": {
        "classify": ClassifyOptions,
        "regress": Options,
        "tag": ClassOptions,
        "generate": GenerationOptions,
        "translate": TranslationOptions,
    },
    "stream": {"generate": GenerationStreamOptions, "translate": TranslationStreamOptions},
    "evaluate": {
        "classify": MultiLabelOptions,
        "regress": Options,
        "tag": Options,
        "generate": Options,
        "translate": BeamOptions,
    },
}
"""The schema of each verb and task."""


def fields(verb: Verb) -> dict[str, dict[str, FieldInfo]]:
    """Return the options of a verb: for each name, its field in each task that takes it."""
    by_name: dict[str, dict[str, FieldInfo]] = {}
    for task, schema in OPTIONS[verb].items():
        for name, field in schema.model_fields.items():
            by_name.setdefault(name, {})[task] = field
    return by_name


def default_text(field: FieldInfo) -> str:
    """Return a default as a user reads it; "" where there is none."""
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "default_text" in extra:
        return str(extra["default_text"])
    return "" if field.default in (None, "", ()) else str(field.default)


def check(**values: Any) -> None:
    """Refuse values of options that are out of range, whatever their task.

    Raises:
        ConfigError: names the option, its range and the value.
    """
    for name, value in values.items():
        try:
            _adapter(name).validate_python(value)
        except ValidationError as error:
            raise ConfigError(*_sentences(error, TranslationOptions, name)) from None
    if "n_best" in values:
        _check_n_best(values["n_best"], values["beam"])


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    field = TranslationOptions.model_fields[name]
    annotated: Any = Annotated[field.annotation, *field.metadata]
    return TypeAdapter(annotated)


def _check_n_best(n_best: int, beam: int) -> None:
    if n_best > beam:
        raise ConfigError(f"n_best must be from 1 to the beam's size, {beam}: got {n_best}")


def documented(schema: type[Options]) -> Callable[[F], F]:
    """Decorate a method that takes the options of a schema as `**options`: list them in its signature and docstring."""

    def document(method: F) -> F:
        signature = inspect.signature(method)
        own = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
        options = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.annotation)
            for name, field in schema.model_fields.items()
        ]
        method.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
        lines = [
            f"    {name}: {field.description}{f' (default: {default})' if (default := default_text(field)) else ''}."
            for name, field in schema.model_fields.items()
        ]
        method.__doc__ = "\n".join([inspect.cleandoc(method.__doc__ or ""), "", "Options:", *lines, ""])
        return method

    return document


def _refusal(name: str, schema: type[Options], task: str, settings: Iterable[str]) -> str:
    """Return the message for an option that a schema does not have."""
    if task == "classify" and name in ClassifyOptions.model_fields:
        with_it = "with" if name in MultiLabelOptions.model_fields else "without"
        return f"{spelled(name)} is for runs that were trained {with_it} --multi-label, unlike this one: leave it out"
    if name in OPTIONS["decode"][task].model_fields:
        verb = next(verb for verb, schemas in OPTIONS.items() if schemas.get(task) is schema)
        return f"{spelled(name)} is an option of decode, and {verb} does not use it: leave it out"
    if any(name in other.model_fields for other in OPTIONS["decode"].values()):
        return f"this run's task is {task}, which does not use {spelled(name)}: leave it out"
    near = suggestion(name, [*schema.model_fields, *settings])
    return f'unknown option "{name}"{near}; `unrolled decode --help` lists all'


def _sentences(error: ValidationError, schema: type[Options], value_of: str = "") -> Iterable[str]:
    """Yield a sentence for each problem that pydantic found.

    Args:
        value_of: name of the option, if a single value was validated.
    """
    for problem in error.errors(include_url=False):
        if problem["type"] == "value_error":
            yield str(problem["ctx"]["error"])
            continue
        name, value = value_of or str(problem["loc"][0]), excerpt(repr(problem["input"]))
        if problem["type"].startswith(("greater_than", "less_than")):
            yield f"{name} must be {_range(schema.model_fields[name])}: got {value}"
        else:
            yield f"{name} {problem['msg'].removeprefix('Input ')}: got {value}"


def _range(field: FieldInfo) -> str:
    """Return the range of a number in words."""
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    bounds = {key: getattr(each, key) for each in field.metadata for key in words if hasattr(each, key)}
    if bounds.keys() == {"ge", "le"}:
        return f"from {bounds['ge']:,} to {bounds['le']:,}"
    return " and ".join(f"{words[key]} {bound:,}" for key, bound in bounds.items())
