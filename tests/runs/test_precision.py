"""Answers in int8: of every task, near those in float32, and the same whether streamed, in a batch or alone."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import unrolled
from small import (
    image_run,
    number_run,
    pairs,
    pictures,
    rated,
    sentences,
    tag_run,
    text_run,
    trained,
    translation_run,
    translations,
    write_csv,
    write_text,
)
from unrolled.cli.main import run as command
from unrolled.errors import BackendError, ConfigError
from unrolled.kernels import native
from unrolled.runs.ensemble import ensemble
from unrolled.runs.precision import PrecisionCost
from unrolled.training import Run

pytestmark = pytest.mark.skipif(not native.compiled(), reason="no kernels were compiled here")

TEXTS = [text for text, _ in pairs(20, seed=5)]
RUNS: dict[str, tuple[Callable[[], Run], Any, Any]] = {
    "texts": (trained, TEXTS, pairs(30, seed=5)),
    "transformer": (lambda: trained("transformer"), TEXTS, pairs(30, seed=5)),
    "images": (image_run, pictures(6, seed=5)[0], pictures(20, seed=5)),
    "numbers": (number_run, TEXTS, rated(30, seed=5)),
    "tags": (tag_run, [" ".join(words) for words, _ in sentences(5, seed=5)], sentences(20, seed=5)),
}


def values(answers: Any) -> np.ndarray:
    """Return the probabilities or numbers of answers."""
    found = json.loads(json.dumps([answer.to_dict() for answer in answers]))

    def numbers(value: Any) -> list[float]:
        if isinstance(value, dict):
            return [n for each in value.values() for n in numbers(each)]
        if isinstance(value, list):
            return [n for each in value for n in numbers(each)]
        return [value] if isinstance(value, float) else []

    return np.array(numbers(found))


@pytest.mark.parametrize("kind", RUNS)
def test_answers_are_near_those_in_float32_and_leave_nothing_behind(kind: str) -> None:
    make, inputs, data = RUNS[kind]
    run = make()
    before = values(run.decode(inputs))
    quantised = values(run.decode(inputs, precision="int8"))
    scale = np.abs(before).max()
    assert 0 < np.abs(quantised - before).max() < 0.05 * scale
    assert np.array_equal(values(run.decode(inputs, precision="float32")), before)
    assert np.array_equal(values(run.decode(inputs)), before)
    result, other = run.evaluate(data, precision="int8"), run.evaluate(data)
    assert 0 < abs(result.loss_nats - other.loss_nats) < 0.05 if hasattr(result, "loss_nats") else result != other
    assert run.by_example(data, precision="int8").mean == pytest.approx(run.by_example(data).mean, abs=0.2)


def test_a_block_around_a_call_decides_unless_the_call_does() -> None:
    run = trained()
    plain, quantised = values(run.decode(TEXTS)), values(run.decode(TEXTS, precision="int8"))
    with unrolled.scan.frozen(run.model, precision="int8"):
        assert np.array_equal(values(run.decode(TEXTS)), quantised)
        assert np.array_equal(values(run.decode(TEXTS, precision="float32")), plain)


def test_two_threads_answer_in_two_precisions() -> None:
    run = trained()
    alone = [values(run.decode(TEXTS, precision=precision)) for precision in ("int8", "float32")]

    def answers(precision: str) -> bool:
        expected = alone[precision == "float32"]
        return all(np.array_equal(values(run.decode(TEXTS, precision=precision)), expected) for _ in range(20))

    with ThreadPoolExecutor(2) as pool:
        assert all(pool.map(answers, ["int8", "float32"] * 2))


@pytest.mark.parametrize("name", ["gru", "gpt"])
def test_a_text_is_the_same_streamed_and_with_others(name: str, tmp_path: Path) -> None:
    run = text_run(name)
    options: dict[str, Any] = {"length": 30, "temperature": 0.7, "precision": "int8"}
    one, two = run.decode(["the film", "a"], **options)
    assert "".join(run.stream("the film", **options)) == one.text
    assert run.decode("a", **options)[0].text == two.text
    path = write_text(tmp_path / "other.txt", "the film a cat\n" * 40)
    cost = run.cost_of("int8", path)
    assert cost.answers == 15 * 40
    assert cost.unchanged > 0.9
    assert 0 < abs(cost.result.bits_per_character - cost.float32.bits_per_character) < 0.1
    nats = run.by_example(path, precision="int8").mean
    assert nats == pytest.approx(cost.result.bits_per_character, rel=1e-12)


@pytest.mark.parametrize("name", ["attention", "transformer"])
def test_a_translation_is_the_same_streamed_and_alone(name: str) -> None:
    run = translation_run(name, updates=40)
    sources = [source for source, _ in translations(8)]
    every = run.decode(sources, precision="int8")
    assert "".join(run.stream(sources[0], precision="int8")) == every[0].text
    assert run.decode(sources[3], precision="int8")[0].text == every[3].text
    scores = [t.targets[0].log_probability for t in every], [t.targets[0].log_probability for t in run.decode(sources)]
    assert scores[0] != scores[1]
    assert len(run.decode(sources, precision="int8", beam=3, n_best=2)[0].targets) == 2
    cost = run.cost_of("int8", translations(8), beam=2)
    assert cost.answers == 8
    assert "BLEU" in cost.text()


def test_an_ensemble_answers_in_int8() -> None:
    for both, inputs in (
        (ensemble([trained(), trained(seed=1)]), TEXTS),
        (ensemble([translation_run(), translation_run(seed=1)]), [source for source, _ in translations(4)]),
    ):
        plain, quantised = (values(both.decode(inputs, precision=precision)) for precision in (None, "int8"))
        assert not np.array_equal(plain, quantised)


def test_the_cost_counts_equal_answers() -> None:
    run = number_run()
    answers = np.array([0.0, 1.0, 2.0])
    assert run.equal(answers, answers + np.array([0.009, 0.011, 0.0])) == 2
    assert trained().equal(np.array([0, 1, 1]), np.array([0, 1, 0])) == 2
    assert trained().equal(np.array([[True, False], [True, True]]), np.array([[True, False], [True, False]])) == 1
    cost = run.cost_of("int8", rated(30, seed=5))
    assert isinstance(cost, PrecisionCost)
    assert cost.answers == 30
    assert cost.text().splitlines()[-1].startswith("precision int8: mean absolute error ")


def test_the_command_prints_the_cost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, data = tmp_path / "run", write_csv(tmp_path / "data.csv", pairs(30, seed=5))
    trained().save(folder)
    assert command(["evaluate", str(folder), str(data), "--precision", "int8"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("precision int8: accuracy ")
    assert last.endswith("of 30 answers unchanged")
    assert command(["evaluate", str(folder), str(data), "--precision", "int8", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["precision"] == "int8"
    assert found["float32"]["n"] == found["n"] == 30
    assert 0 <= found["unchanged"] <= 1
    assert command(["decode", str(folder), TEXTS[0], "--precision", "int8", "--json"]) == 0
    (answer,) = trained().decode(TEXTS[0], precision="int8")
    assert json.loads(capsys.readouterr().out)["probability"] == answer.probability


def test_what_int8_cannot_do_is_refused_or_named(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ConfigError, match="precision"):
        trained().decode(TEXTS, precision="int4")
    normalised = trained(cell="layernorm_gru")
    with caplog.at_level("WARNING", logger="unrolled"):
        normalised.decode(TEXTS, precision="int8")
        normalised.decode(TEXTS, precision="int8")
    (message,) = [message for message in caplog.messages if "int8" in message]
    assert "LayerNormGRUCell" in message
    broken = unrolled.train(pairs(), model="gru", hidden_size=4, embedding_size=4, updates=2)
    with torch.no_grad():
        next(p for name, p in broken.model.named_parameters() if name.endswith("weight_h"))[0, 0] = torch.nan
    with pytest.raises(BackendError, match="weight_h has an infinity or NaN"):
        broken.decode(TEXTS, precision="int8")
