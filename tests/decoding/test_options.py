"""The schema of decoding options: messages, defaults, and the objects and signatures that are made from it."""

import inspect
from typing import Any

import pytest

from unrolled import lineage
from unrolled.decoding.options import (
    OPTIONS,
    BeamOptions,
    GenerationOptions,
    GenerationStreamOptions,
    Options,
    TranslationOptions,
    TranslationStreamOptions,
    check,
    default_text,
    fields,
)
from unrolled.decoding.sampling import GREEDY, Sampling
from unrolled.decoding.search import Beam, strategy_of
from unrolled.errors import ConfigError
from unrolled.runs.generation import GenerationRun
from unrolled.runs.translation import TranslationRun


def parse(schema: type[Options], task: str = "translate", **options: Any) -> Any:
    return schema.parse(options, task=task)


def test_every_task_has_options_of_decode_and_evaluate() -> None:
    tasks = {task.name for task in lineage.TASKS}
    assert OPTIONS["decode"].keys() == OPTIONS["evaluate"].keys() == tasks
    assert OPTIONS["stream"].keys() <= tasks
    for verb, schemas in OPTIONS.items():
        for task, schema in schemas.items():
            assert schema.model_fields.keys() <= OPTIONS["decode"][task].model_fields.keys(), (verb, task)
            assert schema.model_json_schema()["additionalProperties"] is False
            assert all(field.description for field in schema.model_fields.values())


def test_json_says_the_ranges() -> None:
    properties = TranslationOptions.model_json_schema()["properties"]
    assert (properties["beam"]["minimum"], properties["beam"]["maximum"]) == (1, 1024)
    assert (properties["temperature"]["default"], properties["temperature"]["maximum"]) == (0.0, 1e9)


def test_none_stands_for_the_default() -> None:
    nothing = dict.fromkeys(TranslationOptions.model_fields)
    assert parse(TranslationOptions, **nothing) == parse(TranslationOptions)
    assert parse(GenerationOptions, "generate", length=None).length == 500
    assert parse(GenerationStreamOptions, "generate").length is None
    own = TranslationOptions.parse({"length": None}, task="translate", defaults={"length": 7})
    assert own.length == 7
    with pytest.raises(
        ConfigError, match="min_length must be from 0 to length, 7: got 8; give a smaller one, or a lar"
    ):
        TranslationOptions.parse({"min_length": 8}, task="translate", defaults={"length": 7})


def test_the_way_of_decoding_is_made_from_options() -> None:
    assert strategy_of(parse(GenerationOptions, "generate")) == Sampling()
    drawn = parse(GenerationOptions, "generate", temperature=0.5, top_k=3, top_p=0.9, seed=7)
    assert strategy_of(drawn) == Sampling(0.5, 3, 0.9, 7)
    assert strategy_of(parse(TranslationOptions)) == strategy_of(parse(BeamOptions)) == GREEDY
    assert strategy_of(parse(TranslationOptions, beam=3, n_best=2)) == Beam(3, n_best=2)
    assert strategy_of(parse(BeamOptions, beam=3, length_penalty=0)) == Beam(3, 0.0)
    assert strategy_of(parse(TranslationOptions, temperature=2)) == Sampling(2.0)


@pytest.mark.parametrize(
    ("schema", "task", "options", "message"),
    [
        (Options, "classify", {"beam": 2}, "this run's task is classify, which does not use beam: leave it out"),
        (Options, "generate", {"seed": 2}, "seed is an option of decode, and evaluate does not use it: leave it out"),
        (TranslationStreamOptions, "translate", {"beam": 2}, "beam is an option of decode, and stream does not use it"),
        (TranslationOptions, "translate", {"topk": 2}, 'unknown option "topk" (did you mean "top_k"?)'),
        (TranslationOptions, "translate", {"zz": 2}, 'unknown option "zz"; `unrolled decode --help` lists all'),
        (TranslationOptions, "translate", {"beam": "many"}, "beam should be a valid integer"),
        (TranslationOptions, "translate", {"beam": 2.5}, "beam should be a valid integer"),
        (TranslationOptions, "translate", {"prefix": 3}, "prefix should be an instance of str: got 3"),
        (TranslationOptions, "translate", {"beam": 3, "n_best": 0}, "n_best must be at least 1: got 0"),
        (GenerationOptions, "generate", {"temperature": 0, "top_k": 3}, "at temperature 0 nothing is drawn, so it doe"),
        (GenerationOptions, "generate", {"temperature": 0, "top_p": 2.0}, "top_p must be above 0 and at most 1: got 2"),
        (
            GenerationOptions,
            "generate",
            {"length": -1, "top_k": 0},
            "top_k must be from 1 to 1,000,000,000: got 0\nlength must be from 0 to 1,000,000,000: got -1",
        ),
    ],
)
def test_an_option_that_cannot_be_used_is_refused(
    schema: type[Options], task: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(schema, task, **options)
    assert str(refused.value).startswith(message)


def test_values_are_checked_alone() -> None:
    check(temperature=0, top_k=3, seed=0)
    check(beam=1, length_penalty=0.6, n_best=1)
    with pytest.raises(ConfigError, match="n_best must be from 1 to the beam's size, 2: got 3"):
        check(beam=2, n_best=3)
    with pytest.raises(ConfigError, match="beam must be from 1 to 1,024: got 0"):
        check(beam=0)


def test_defaults_are_shown_by_task() -> None:
    length = fields("decode")["length"]
    assert {task: default_text(field) for task, field in length.items()} == {
        "generate": "500",
        "translate": "as the longest target of training",
    }
    assert default_text(fields("decode")["prefix"]["translate"]) == ""


@pytest.mark.parametrize(
    ("method", "schema"),
    [
        (GenerationRun.decode, GenerationOptions),
        (GenerationRun.stream, GenerationStreamOptions),
        (TranslationRun.decode, TranslationOptions),
        (TranslationRun.stream, TranslationStreamOptions),
        (TranslationRun.evaluate, BeamOptions),
    ],
)
def test_a_method_shows_its_options(method: Any, schema: type[Options]) -> None:
    parameters = inspect.signature(method).parameters
    assert "options" not in parameters
    for name, field in schema.model_fields.items():
        assert (parameters[name].default, parameters[name].kind) == (field.default, inspect.Parameter.KEYWORD_ONLY)
        assert f"{name}: {field.description}" in method.__doc__
