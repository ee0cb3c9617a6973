"""Baselines: they learn, they are compared in pairs, and their sentence says what is shown."""

import json

import numpy as np
import pytest

from unrolled.evaluation.baselines import Baseline, compare, linear_pixels, linear_texts


def test_the_difference_is_that_of_the_accuracies() -> None:
    random = np.random.default_rng(0)
    network, baseline = random.random(400) < 0.8, random.random(400) < 0.6
    found = compare("b", network, baseline, 1.5)
    assert found.difference == pytest.approx(network.mean() - baseline.mean())
    assert found.accuracy == baseline.mean()
    low, high = found.difference_interval
    assert low < found.difference < high
    deviation = np.std(network.astype(float) - baseline) / np.sqrt(400)
    assert high - low == pytest.approx(2 * 1.96 * deviation, rel=0.15), "that of the paired differences"


def test_pairs_are_narrower_than_two_intervals() -> None:
    """The network is right wherever the baseline is, and in ten cases more: shown, though the intervals overlap."""
    baseline = np.arange(1_000) < 700
    found = compare("b", np.arange(1_000) < 710, baseline, 0.0)
    assert found.is_beaten
    assert "not shown" not in found.text()
    assert not compare("b", baseline, baseline, 0.0).is_beaten
    assert "not shown to be better" in compare("b", baseline, baseline, 0.0).text()


def test_words_of_a_sentence_are_drawn_together() -> None:
    """Ten sentences of fifty equal words: the interval is that of ten draws, not of five hundred."""
    right = np.repeat(np.arange(10) < 6, 50)
    alone, together = (
        compare("b", right, ~right, 0.0, lengths=lengths).difference_interval for lengths in (None, np.full(10, 50))
    )
    assert together[1] - together[0] > 3 * (alone[1] - alone[0])


def test_it_survives_its_record() -> None:
    found = compare("b", np.array([True, False]), np.array([True, True]), 0.1)
    assert Baseline.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def words(seed: int, n: int, *, order: bool = False) -> tuple[list[str], np.ndarray]:
    random = np.random.default_rng(seed)
    classes = random.integers(0, 2, n)
    nouns = [f"noun{k}" for k in range(30)]
    texts = [" ".join([*random.choice(nouns, 5), ("good", "bad")[k], *random.choice(nouns, 3)]) for k in classes]
    return texts, classes


def test_it_learns_the_word_that_decides() -> None:
    test, truth = words(2, 50)
    name, answers, seconds = linear_texts(words(0, 200), words(1, 50), test)
    assert (answers == truth).all()
    assert name.startswith("linear classifier of ")
    assert seconds > 0


def test_it_learns_single_words_by_their_characters() -> None:
    random = np.random.default_rng(0)
    stems = ["".join(random.choice(list("bcdfglmnprst"), 5)) for _ in range(300)]
    classes = np.arange(300) % 2
    texts = [stem + ("ova", "ski")[k] for stem, k in zip(stems, classes, strict=True)]
    name, answers, _ = linear_texts((texts[:200], classes[:200]), (texts[200:250], classes[200:250]), texts[250:])
    assert (answers == classes[250:]).all()
    assert name == "linear classifier of groups of characters"


def test_texts_without_a_character_get_the_most_frequent_label() -> None:
    classes = np.array([0, 1, 1])
    name, answers, _ = linear_texts(([" ", " ", " "], classes), ([" "], classes[:1]), [" ", " "])
    assert (name, answers.tolist()) == ("most frequent label", [1, 1])


def test_many_examples_are_learned_from_in_part() -> None:
    texts, classes = words(0, 50)
    name, answers, _ = linear_texts((texts * 500, np.tile(classes, 500)), (texts, classes), texts)
    assert name.endswith(", learned from 20,000 examples")
    assert (answers == classes).all()


def test_pixels() -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (300, 4, 4)).astype(np.uint8)
    classes = (images[:, 0, 0] > images[:, 3, 3]).astype(np.int64)
    name, answers, _ = linear_pixels((images[:200], classes[:200]), images[200:])
    assert (answers == classes[200:]).mean() > 0.9
    assert name == "linear classifier of pixels"
