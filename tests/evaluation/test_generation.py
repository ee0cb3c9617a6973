"""Figures of a language model, against their formulas."""

import json
import math

import numpy as np
import pytest

from unrolled.errors import DataError, ShapeError
from unrolled.evaluation import GenerationResult, evaluate_generation


def evaluate(**changed: object) -> GenerationResult:
    arguments = {
        "nats": [3.0, 5.0, 4.0],
        "right": [1, 0, 2],
        "tokens": [4, 4, 2],
        "characters": 25,
        "unknown": 1,
        "train_counts": [0, 0, 9, 4, 2],
        "counts": [0, 1, 6, 3, 0],
    }
    arguments |= changed
    lists = [arguments.pop(name) for name in ("nats", "right", "tokens")]
    return evaluate_generation(*lists, **arguments)


def test_the_figures_are_their_formulas() -> None:
    result = evaluate()
    assert (result.tokens, result.characters, result.unknown) == (10, 25, 1)
    assert result.loss_nats == pytest.approx(1.2)
    assert result.perplexity == pytest.approx(math.exp(1.2))
    assert result.bits_per_character == pytest.approx(12 / math.log(2) / 25)
    assert result.accuracy == pytest.approx(0.3)
    frequency = -(1 * math.log2(1 / 20) + 6 * math.log2(10 / 20) + 3 * math.log2(5 / 20)) / 25
    assert result.frequency_bits_per_character == pytest.approx(frequency)
    low, high = result.bits_per_character_interval
    assert low < result.bits_per_character < high


def test_bits_per_character_do_not_depend_on_the_tokens() -> None:
    whole = evaluate(nats=[6.0, 6.0], right=[0, 0], tokens=[2, 3])
    assert whole.bits_per_character == pytest.approx(evaluate().bits_per_character)
    assert whole.loss_nats != pytest.approx(evaluate().loss_nats)


def test_one_stretch_has_an_interval_that_is_a_point() -> None:
    result = evaluate(nats=[12.0], right=[3], tokens=[10])
    assert result.bits_per_character_interval == pytest.approx([result.bits_per_character] * 2)


def test_it_goes_into_json_and_onto_a_terminal() -> None:
    result = evaluate()
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["bits_per_character_interval"] == pytest.approx(
        list(result.bits_per_character_interval)
    )
    text = result.text()
    assert "25 characters, 10 tokens, 1 unknown" in text
    assert f"{result.bits_per_character:.3f}" in text
    assert "unknown" not in evaluate(unknown=0).text()
    assert evaluate(nats=[1e5, 0, 0]).perplexity == math.inf


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(DataError, match="there is no token to evaluate on"):
        evaluate(nats=[], right=[], tokens=[])
    with pytest.raises(ShapeError, match=r"must be \(M,\)"):
        evaluate(right=[1])
    with pytest.raises(ShapeError, match=r"must be \(V,\)"):
        evaluate(counts=np.zeros(3))
