"""Scores of single examples: their mean is the figure, and a file of them is read back only if it is whole."""

import math
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sacrebleu.metrics.chrf import CHRF

from unrolled.errors import CheckpointError, DataError, ShapeError
from unrolled.evaluation.by_example import (
    BLOCK,
    NO_LABEL,
    TEXTS,
    ByExample,
    score_blocks,
    score_classes,
    score_label_sets,
    score_numbers,
    score_tags,
    score_translations,
)

LENGTHS = np.array([4, 1, 2])
INPUTS = ["one ü", "two\nlines", "x" * 300]
CLASSES = score_classes(["no", "yes"], np.array([0, 1, 1]), np.array([0, 0, 1]), LENGTHS, INPUTS)


def test_classes() -> None:
    assert (CLASSES.figure, CLASSES.greater_is_better) == ("accuracy", True)
    assert CLASSES.scores.tolist() == [1, 0, 1]
    assert CLASSES.lengths.tolist() == [4, 1, 2]
    assert CLASSES.mean == pytest.approx(2 / 3)
    assert CLASSES.truths == ("no", "yes", "yes")
    assert CLASSES.answers == ("no", "no", "yes")
    assert repr(CLASSES) == "ByExample(accuracy 0.666667 of 3 examples)"
    assert CLASSES.inputs == ("one ü", "two\\nlines", "x" * 199 + "…")


def test_label_sets() -> None:
    truth = np.array([[1, 0], [1, 1], [0, 0]], bool)
    scored = score_label_sets(["a", "b"], truth, np.array([[1, 0], [1, 0], [0, 0]], bool), LENGTHS, INPUTS)
    assert scored.figure == "subset_accuracy"
    assert scored.scores.tolist() == [1, 0, 1]
    assert scored.truths == ("a", "a, b", NO_LABEL)
    assert scored.answers == ("a", "a", NO_LABEL)


def test_numbers() -> None:
    scored = score_numbers(np.array([1.0, 2.0, 3.0]), np.array([1.5, 2.0, 1.0]), LENGTHS, INPUTS)
    assert (scored.figure, scored.greater_is_better) == ("absolute_error", False)
    assert scored.scores.tolist() == [0.5, 0, 2]
    assert scored.answers == ("1.5", "2", "1")


def test_the_mean_over_sentences_is_the_accuracy_over_words() -> None:
    sentences = [["a", "b", "c"], ["d"]]
    scored = score_tags(["X", "Y"], np.array([0, 1, 0, 1]), np.array([0, 1, 1, 0]), sentences)
    assert scored.scores.tolist() == [2 * 2 / 4, 0]  # right words · N / W
    assert scored.mean == 2 / 4
    assert scored.inputs == ("a b c", "d")
    assert scored.truths == ("X Y X", "Y")
    assert scored.answers == ("X Y Y", "X")


def test_translations_are_compared_with_the_nearest_reference() -> None:
    scored = score_translations(["the cat", "a dog"], [["the bat", "the cat"], ["no", "a"]], LENGTHS[:2], INPUTS[:2])
    assert scored.figure == "mean_chrf"
    assert scored.scores[0] == 100
    alone = [CHRF().sentence_score("a dog", [reference]).score for reference in ("no", "a")]
    assert scored.scores[1] == pytest.approx(max(alone), abs=1e-12)
    assert scored.truths == ("the bat", "no")


def test_the_mean_over_blocks_is_the_bits_per_character() -> None:
    nats = np.random.default_rng(0).uniform(0, 3, 2 * BLOCK + 7)
    scored = score_blocks(nats, 900, ["a", "b", "c"])
    assert scored.mean == pytest.approx(nats.sum() / (900 * math.log(2)), rel=1e-12)
    assert scored.lengths.tolist() == [BLOCK, BLOCK, 7]
    assert scored.scores[2] == pytest.approx(nats[-7:].sum() * 3 / (900 * math.log(2)), rel=1e-12)
    assert scored.inputs[2] == f"tokens {2 * BLOCK + 1:,} to {2 * BLOCK + 7:,}"
    assert scored.answers[2] == f"{nats[-7:].mean() / math.log(2):.3f} bits a token"
    assert not scored.greater_is_better


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"scores": np.array([[1.0]])}, ShapeError, r"scores must be \(N,\) float64: got float64 of shape \(1, 1\)"),
        ({"scores": np.array([1, 0, 1])}, ShapeError, r"scores must be \(N,\) float64: got int64 of shape \(3,\)"),
        ({"scores": np.array([1.0, np.nan, 0.0])}, DataError, "a score is not finite: nan"),
        ({"scores": np.zeros(0)}, DataError, "there is no example to score"),
        ({"lengths": np.array([1, 2])}, ShapeError, r"lengths must be \(N=3,\) integers: got int64 of shape \(2,\)"),
        ({"answers": ("no",)}, ShapeError, "answers must be N=3 texts: got 1"),
    ],
)
def test_scores_that_do_not_fit_are_refused(changes: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        replace(CLASSES, **changes)  # type: ignore[arg-type]


def test_a_file_is_read_back(tmp_path: Path) -> None:
    CLASSES.save(tmp_path / "scores.npz")
    read = ByExample.load(tmp_path / "scores.npz")
    assert np.array_equal(read.scores, CLASSES.scores)
    assert np.array_equal(read.lengths, CLASSES.lengths)
    for name in ("figure", "greater_is_better", *TEXTS):
        assert getattr(read, name) == getattr(CLASSES, name)
    first = (tmp_path / "scores.npz").read_bytes()
    read.save(tmp_path / "scores.npz")
    assert (tmp_path / "scores.npz").read_bytes() == first


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores.npz"
    with pytest.raises(CheckpointError, match="cannot be read"):
        ByExample.load(path)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(CheckpointError, match="has no scores of examples, or is damaged: it is one array"):
        ByExample.load(path)
    np.savez(path, scores=np.array([object()]), lengths=LENGTHS, about=np.zeros(2, np.uint8))
    with pytest.raises(CheckpointError, match="allow_pickle=False"):
        ByExample.load(path)
    np.savez(path, scores=np.zeros(3))
    with pytest.raises(CheckpointError, match="has no scores of examples"):
        ByExample.load(path)
    about = np.frombuffer(b'{"figure": "accuracy"}', np.uint8)
    np.savez(path, scores=np.zeros(3), lengths=LENGTHS, about=about)
    with pytest.raises(CheckpointError, match="its entry about was not written by unrolled"):
        ByExample.load(path)


def test_a_changed_byte_is_found_or_changes_nothing(tmp_path: Path) -> None:
    """The zip has a CRC of each entry; some bytes of its headers have no meaning."""
    path, draw = tmp_path / "scores.npz", random.Random(0)
    CLASSES.save(path)
    whole = path.read_bytes()
    for _ in range(400):
        position = draw.randrange(len(whole))
        path.write_bytes(whole[:position] + bytes([whole[position] ^ (1 << draw.randrange(8))]) + whole[position + 1 :])
        try:
            read = ByExample.load(path)
        except CheckpointError:
            continue
        assert np.array_equal(read.scores, CLASSES.scores)
        assert (read.lengths.tolist(), read.inputs) == (CLASSES.lengths.tolist(), CLASSES.inputs)
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError):
            ByExample.load(path)
