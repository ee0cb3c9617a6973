"""Baselines of every task: learned from the training split, scored on the examples of the test split, without a run."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sacrebleu.metrics.chrf import CHRF

import unrolled
from small import (
    GOOD,
    image_run,
    pairs,
    pictures,
    rated,
    sentences,
    tag_run,
    trained,
    translation_run,
    translations,
    write_text,
)
from unrolled import tasks
from unrolled.config import from_flat
from unrolled.training.task import Task

LABELLED = [("fine warm film", ["good"]), ("dull plot", ["bad", "short"]), ("a story", [])] * 20


def read(data: Any, **settings: Any) -> Task:
    config = from_flat(tasks.infer_settings(data, settings, None))
    return tasks.find(config).read(data, config)


def labels_of(task: Any, split: str) -> list[str]:
    return [*getattr(task.splits, split).labels()]


def test_texts() -> None:
    task: Any = read(pairs(120))
    majority, linear = task.baselines()
    (most, _), *_ = Counter(labels_of(task, "train")).most_common()
    assert (majority.name, set(majority.scores.answers)) == ("most frequent label", {most})
    assert majority.scores.scores.tolist() == [float(label == most) for label in labels_of(task, "test")]
    assert majority.scores.inputs == tuple(task.splits.test.texts())
    assert linear.name.startswith("linear classifier of ")
    assert linear.scores.mean > majority.scores.mean
    assert linear.seconds > 0


def test_the_baseline_next_to_a_run_has_the_same_scores() -> None:
    made = pairs(120)
    run = unrolled.train(made, model="gru", hidden_size=4, embedding_size=4, updates=2)
    task: Any = read(made)
    (_, linear), recorded = task.baselines(), run.record["baseline"]
    assert (recorded["name"], recorded["accuracy"]) == (linear.name, linear.scores.mean)
    assert recorded["difference"] == pytest.approx(run.test.accuracy - linear.scores.mean, abs=1e-12)


def test_scores_of_a_run_and_of_baselines_are_of_the_same_examples() -> None:
    task: Any = read(pairs())
    (majority, _), own = task.baselines(), trained().scores(task.splits.test)
    assert own.inputs == majority.scores.inputs
    assert own.truths == majority.scores.truths
    assert own.figure == majority.scores.figure


def test_images() -> None:
    task: Any = read(pictures())
    majority, linear = task.baselines()
    own = image_run().scores(task.splits.test)
    for each in (majority, linear):
        assert (each.scores.inputs, each.scores.truths) == (own.inputs, own.truths)
        assert each.scores.lengths.tolist() == own.lengths.tolist()
    assert linear.name == "linear classifier of pixels"
    assert linear.scores.mean > majority.scores.mean


def test_label_sets() -> None:
    made = [(f"{text} no{i}", labels) for i, (text, labels) in enumerate(LABELLED)]
    made += [(f"a story no{i}", []) for i in range(100, 140)]
    task: Any = read(made, multi_label=True)
    usual, most, linear = task.baselines()
    assert usual.name == "most frequent labels"
    assert set(usual.scores.answers) == {", ".join(sorted(task.record()["usual"]))}
    assert set(most.scores.answers) == {"(none)"}
    assert most.scores.mean == np.mean([truth == "(none)" for truth in most.scores.truths])
    assert linear.name.endswith(" for each label")
    assert linear.scores.mean == 1


def test_numbers() -> None:
    task: Any = read(rated(200), task="regress")
    mean, median, ridge = task.baselines()
    values = [np.array([float(label) for label in labels_of(task, split)]) for split in ("train", "test")]
    assert mean.scores.scores == pytest.approx(np.abs(values[1] - values[0].mean()))
    assert median.scores.scores == pytest.approx(np.abs(values[1] - np.median(values[0])))
    assert ridge.name.startswith("ridge regression of ")
    assert ridge.scores.mean < 0.6 * mean.scores.mean
    assert not ridge.scores.greater_is_better
    assert GOOD[0] in " ".join(ridge.scores.inputs)


def test_tags() -> None:
    task: Any = read(sentences(60), task="tag", tokenizer="character")
    majority, usual = task.baselines()
    test = task.splits.test
    (most, _), *_ = Counter(task.splits.train.tags()).most_common()
    assert majority.scores.mean == pytest.approx(np.mean([tag == most for tag in test.tags()]), abs=1e-12)
    assert usual.name == "most frequent tag of each word"
    words = [word for sentence in test.words() for word in sentence]
    seen = task.splits.train.usual_tags()
    right = [seen.get(word, most) == tag for word, tag in zip(words, test.tags(), strict=True)]
    assert usual.scores.mean == pytest.approx(np.mean(right), abs=1e-12)
    assert tag_run().scores(test).inputs == usual.scores.inputs


def test_translations() -> None:
    task: Any = read([*translations(60), *((f"z{i}", "SAME") for i in range(20))], task="translate")
    copy, usual = task.baselines()
    for each, answers in ((copy, copy.scores.inputs), (usual, ("SAME",) * len(usual.scores))):
        assert each.scores.answers == answers
        expected = [CHRF().sentence_score(a, [t]).score for a, t in zip(answers, each.scores.truths, strict=True)]
        assert each.scores.scores == pytest.approx(expected)
    assert usual.scores.scores.max() == 100


def test_a_text(tmp_path: Path) -> None:
    task: Any = read(write_text(tmp_path / "text.txt"), task="generate", chunk=16)
    frequency, ngrams = task.baselines()
    run = unrolled.train(tmp_path / "text.txt", task="generate", chunk=16, hidden_size=4, updates=2)
    assert frequency.scores.mean == pytest.approx(run.test.frequency_bits_per_character, rel=1e-12)
    assert run.by_example().truths == ngrams.scores.truths
    assert ngrams.name.endswith("-gram language model")
    assert ngrams.scores.mean < frequency.scores.mean / 2
    assert math.isfinite(ngrams.scores.mean)


@pytest.mark.parametrize(
    ("run", "data", "settings"),
    [
        (trained, pairs(), {}),
        (image_run, pictures(), {}),
        (tag_run, sentences(), {"task": "tag"}),
        (translation_run, translations(), {"task": "translate"}),
    ],
)
def test_an_input_of_the_test_split_is_decoded_alone(run: Any, data: Any, settings: dict[str, Any]) -> None:
    own, inputs = run().by_example(data, test_split=True), read(data, **settings).test_inputs()
    assert len(inputs) == len(own)
    for i in (0, len(own) // 2):
        (answer,) = run().decode(inputs[i])
        found = answer.to_dict()
        words = [word["tag"] for word in found.get("words", ())]
        said = " ".join(words) or found.get("label") or found["targets"][0]["text"]
        assert said == own.answers[i]


@pytest.mark.parametrize(
    ("data", "settings"),
    [
        (pairs(), {}),
        (pictures(), {}),
        ([(f"{text} no{i}", labels) for i, (text, labels) in enumerate(LABELLED)], {"multi_label": True}),
        (rated(), {"task": "regress"}),
        (sentences(), {"task": "tag"}),
        (translations(), {"task": "translate"}),
    ],
)
def test_without_a_test_split_there_are_none(data: Any, settings: dict[str, Any]) -> None:
    assert read(data, test_fraction=0.0, **settings).baselines() == []
