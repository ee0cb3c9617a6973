"""Scores of the examples of a run: their mean is a figure of its evaluation, and they are in the order of the data."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sacrebleu.metrics.chrf import CHRF

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
from unrolled.errors import ConfigError, DataError
from unrolled.evaluation.by_example import BLOCK
from unrolled.evaluation.difference import paired_difference
from unrolled.runs.ensemble import ensemble
from unrolled.training import Run

LABELLED = [("fine warm film", ["good"]), ("dull plot", ["bad", "short"]), ("a story", [])] * 12


def label_run(**settings: Any) -> Run:
    texts = [(f"{text} no{i}", labels) for i, (text, labels) in enumerate(LABELLED)]
    small = {"embedding_size": 6, "hidden_size": 5, "updates": 60, "min_frequency": 1, "learning_rate": 0.03}
    return unrolled.train(texts, multi_label=True, model="gru", **small | settings)


@dataclass(frozen=True)
class Kind:
    """A kind of run, data to evaluate it on, the figure of a result, and the inputs in order."""

    run: Callable[..., Run]
    data: Any
    figure: Callable[[Any], float]
    inputs: tuple[str, ...]


KINDS = {
    "texts": Kind(trained, pairs(30, seed=5), lambda result: result.accuracy, tuple(t for t, _ in pairs(30, seed=5))),
    "images": Kind(
        image_run, pictures(20, seed=5), lambda result: result.accuracy, tuple(f"image {i}" for i in range(20))
    ),
    "labels": Kind(label_run, LABELLED, lambda result: result.subset_accuracy, tuple(text for text, _ in LABELLED)),
    "numbers": Kind(number_run, rated(30, seed=5), lambda result: result.mae, tuple(t for t, _ in rated(30, seed=5))),
    "tags": Kind(
        tag_run,
        sentences(20, seed=5),
        lambda result: result.accuracy,
        tuple(" ".join(words) for words, _ in sentences(20, seed=5)),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_is_the_figure_of_evaluate(kind: str) -> None:
    run, data = KINDS[kind].run(), KINDS[kind].data
    scored = run.by_example(data)
    assert scored.mean == pytest.approx(KINDS[kind].figure(run.evaluate(data)), abs=1e-12)
    assert scored.inputs == KINDS[kind].inputs
    assert scored.mean > 0
    assert len(set(scored.lengths.tolist())) > 1 or kind == "images"


@pytest.mark.parametrize("kind", KINDS)
def test_an_ensemble_has_scores(kind: str) -> None:
    both, data = ensemble([KINDS[kind].run(), KINDS[kind].run(seed=1)]), KINDS[kind].data
    assert both.by_example(data).mean == pytest.approx(KINDS[kind].figure(both.evaluate(data)), abs=1e-12)


@pytest.mark.parametrize("name", ["gru", "gpt", "feedforward"])
def test_blocks_of_a_text(name: str, tmp_path: Path) -> None:
    run, path = text_run(name), write_text(tmp_path / "other.txt", "the film a cat\n" * 150)
    scored = run.by_example(path)
    assert scored.mean == pytest.approx(run.evaluate(path).bits_per_character, rel=1e-12)
    assert scored.lengths.tolist() == [BLOCK] * 8 + [15 * 150 - 8 * BLOCK]
    assert scored.truths[0].startswith("the film a cat\\nthe film")


def test_an_ensemble_of_language_models(tmp_path: Path) -> None:
    both = ensemble([text_run(), text_run(seed=1)])
    path = write_text(tmp_path / "other.txt", "the film a cat\n" * 40)
    assert both.by_example(path).mean == pytest.approx(both.evaluate(path).bits_per_character, rel=1e-12)


@pytest.mark.parametrize("several", [False, True])
def test_sources_of_a_translator(several: bool) -> None:
    first = translation_run(updates=40)
    run = ensemble([first, translation_run(updates=40, seed=1)]) if several else first
    made = translations(20)
    data = [*made, (made[3][0], "ABC"), *made[:2]]  # a source with two references, and pairs that occur twice
    scored = run.by_example(data)
    assert (scored.figure, len(scored)) == ("mean_chrf", run.evaluate(data).n)
    assert scored.inputs == tuple(source for source, _ in made)
    answers = [answer.text for answer in run.decode([source for source, _ in made])]
    references = [[target] for _, target in made]
    references[3].append("ABC")
    expected = [CHRF().sentence_score(*pair).score for pair in zip(answers, references, strict=True)]
    assert scored.scores == pytest.approx(expected, abs=1e-12)
    assert scored.answers == tuple(answers)
    assert run.by_example(data, beam=3).figure == "mean_chrf"


def test_arguments_are_those_of_evaluate(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "data.csv", pairs(40, seed=2), header="body,verdict")
    run = unrolled.train(path, text="body", label="verdict", updates=2, hidden_size=4, embedding_size=4)
    assert run.by_example().mean == pytest.approx(run.evaluate().accuracy, abs=1e-12)
    assert run.by_example(path, test_split=True).inputs == run.by_example().inputs
    other = write_csv(tmp_path / "other.csv", pairs(10, seed=3))
    assert len(run.by_example(other, text="text", label="label")) == 10
    with pytest.raises(ConfigError, match="leave text, label, header, separator and on_bad_row out"):
        run.by_example(text="text")
    with pytest.raises(ConfigError, match="this run's task is classify, which does not use beam: leave it out"):
        run.by_example(beam=2)
    with pytest.raises(ConfigError, match="decimal is for runs of task regress"):
        run.by_example(other, decimal=",")
    with pytest.raises(DataError, match="trained on Python objects"):
        trained().by_example()


def test_a_threshold_changes_the_answers() -> None:
    run = label_run()
    assert run.by_example(LABELLED, threshold=0.999).answers == ("(none)",) * len(LABELLED)


def test_runs_are_compared_in_pairs() -> None:
    data = pairs(30, seed=5)
    first, second = (
        np.stack([trained(model, seed=seed).by_example(data).scores for seed in (0, 1)]) for model in ("gru", "elman")
    )
    difference = paired_difference(first, second)
    assert difference.mean == pytest.approx(first.mean() - second.mean())
    assert (difference.seeds, difference.examples) == (2, 30)
