"""Figures of a tagger, against what can be counted by hand."""

import json

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_recall_fscore_support

from unrolled.errors import DataError, ShapeError
from unrolled.evaluation import evaluate_tagging

LABELS = ("ADJ", "NOUN", "VERB")


def made(sentences: int = 30, seed: int = 0) -> dict[str, np.ndarray]:
    """Random words, mostly tagged rightly."""
    draw = np.random.default_rng(seed)
    lengths = draw.integers(1, 9, size=sentences)
    W = int(lengths.sum())
    truth = draw.integers(0, 3, size=W)
    probabilities = draw.dirichlet(np.ones(3), size=W)
    probabilities[np.arange(W), truth] += draw.integers(0, 2, size=W)
    return {
        "truth": truth,
        "probabilities": probabilities / probabilities.sum(axis=1, keepdims=True),
        "lengths": lengths,
        "seen": draw.random(W) < 0.8,
        "baseline": draw.integers(0, 3, size=W),
    }


def test_the_figures_are_those_of_the_words() -> None:
    data = made()
    result = evaluate_tagging(LABELS, **data)
    truth, answers, seen = data["truth"], data["probabilities"].argmax(axis=1), data["seen"]
    assert result.words == len(truth)
    assert result.unseen == int((~seen).sum())
    right, baseline = answers == truth, data["baseline"] == truth
    assert result.accuracy == right.mean()
    assert result.unseen_accuracy == right[~seen].mean()
    assert result.baseline_accuracy == baseline.mean()
    assert result.baseline_unseen_accuracy == baseline[~seen].mean()
    assert result.loss_nats == pytest.approx(-np.log(data["probabilities"][np.arange(len(truth)), truth]).mean())
    for k, tag in enumerate(result.tags):
        found, there, both = (answers == k).sum(), (truth == k).sum(), ((answers == k) & right).sum()
        expected = both / found, both / there, 2 * both / (found + there), there
        assert (tag.precision, tag.recall, tag.f1, tag.support) == pytest.approx(expected)
    starts = np.cumsum(data["lengths"]) - data["lengths"]
    whole = [(truth == answers)[a : a + n].all() for a, n in zip(starts, data["lengths"], strict=True)]
    assert result.whole_sentences == np.mean(whole)


def test_the_interval_resamples_sentences() -> None:
    """Words that are right or wrong sentence by sentence say less than as many that are so each by itself."""
    truth = np.zeros(400, dtype=np.int64)
    together = np.repeat([1.0, 0.0] * 20, 10)
    probabilities = np.stack([together, 1 - together, 0 * together], axis=1)
    fixed = {"seen": np.ones(400, dtype=bool), "baseline": truth}
    result = evaluate_tagging(LABELS, truth, probabilities, np.full(40, 10), **fixed)
    alone = evaluate_tagging(LABELS, truth, probabilities, np.ones(400, dtype=int), **fixed)
    assert result.accuracy == alone.accuracy == 0.5
    wide, narrow = (found.accuracy_interval.high - found.accuracy_interval.low for found in (result, alone))
    assert 2.5 < wide / narrow < 4, "√10 times as wide"


def test_the_interval_of_unseen_words_is_theirs() -> None:
    """400 sentences of nine seen words, all right, and an unseen one, right in every fourth sentence."""
    truth, seen = np.zeros(4000, dtype=np.int64), np.tile([True] * 9 + [False], 400)
    right = seen | (np.arange(4000) // 10 % 4 == 0)
    probabilities = np.stack([right, ~right, np.zeros(4000)], axis=1).astype(float)
    result = evaluate_tagging(LABELS, truth, probabilities, np.full(400, 10), seen=seen, baseline=truth)
    assert result.unseen_accuracy == 0.25
    half = 1.96 * (0.25 * 0.75 / 400) ** 0.5  # of a fraction of 400 draws
    assert result.unseen_interval == pytest.approx((0.25 - half, 0.25 + half), abs=0.006)
    assert result.accuracy_interval == pytest.approx((0.925 - half / 10, 0.925 + half / 10), abs=0.0006)


def test_without_unseen_words_there_are_no_figures_of_them() -> None:
    data = made()
    result = evaluate_tagging(LABELS, **data | {"seen": np.ones(len(data["truth"]), dtype=bool)})
    assert (result.unseen, result.unseen_accuracy, result.unseen_interval) == (0, None, None)
    assert result.baseline_unseen_accuracy is None
    assert "unseen" not in result.text()


def test_it_is_shown_as_text_and_as_json() -> None:
    result = evaluate_tagging((*LABELS[:2], "x" * 90), **made())
    text = result.text()
    assert max(map(len, text.splitlines())) <= 80
    assert "unseen words" in text
    assert "most frequent tag" in text
    assert json.loads(json.dumps(result.to_dict()))["accuracy_interval"] == list(result.accuracy_interval)
    four = evaluate_tagging((*LABELS, "none"), **made() | {"probabilities": np.eye(4)[made()["truth"]]})
    assert "1 tag has no word here: undefined values are shown as 0.0" in four.text()
    assert four.whole_sentences == four.accuracy == 1


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("seen", [1], r"seen must be \(W=\d+,\) booleans, as truth: got int64 of shape \(1,\)"),
        ("baseline", [0.5], r"baseline must be \(W=\d+,\) integers"),
        ("lengths", [1, 2], r"lengths must be integers above 0 that sum to the \d+ words: got \[1, 2\]"),
        ("truth", [0], "truth must have shape"),
        ("probabilities", [[1.0]], r"probabilities must have shape \(N, K=3\)"),
    ],
)
def test_what_cannot_be_is_refused(name: str, value: object, message: str) -> None:
    with pytest.raises((DataError, ShapeError), match=message):
        evaluate_tagging(LABELS, **made() | {name: np.array(value)})


def test_macro_f1_is_that_of_scikit_learn() -> None:
    for seed in range(5):
        data = made(seed=seed)
        truth, answers = data["truth"], data["probabilities"].argmax(axis=1)
        result = evaluate_tagging((*LABELS, "none"), **data | {"probabilities": np.eye(4)[answers]})
        assert result.macro_f1 == pytest.approx(f1_score(truth, answers, average="macro"))
        columns = precision_recall_fscore_support(truth, answers, labels=range(4), zero_division=0)
        ours = [(tag.precision, tag.recall, tag.f1, tag.support) for tag in result.tags]
        np.testing.assert_allclose(ours, np.transpose(columns))
        assert result.macro_f1_interval.low < result.macro_f1 < result.macro_f1_interval.high
        assert f"macro-F1 of tags  {result.macro_f1:>6.1%}" in result.text()


def test_the_interval_of_macro_f1_resamples_sentences() -> None:
    """Draws of whole sentences, one by one, give the same interval."""
    data = made(sentences=60)
    result = evaluate_tagging(LABELS, **data)
    ends, draw = np.cumsum(data["lengths"])[:-1], np.random.default_rng(1)
    truth, answers = (np.split(v, ends) for v in (data["truth"], data["probabilities"].argmax(axis=1)))
    scores = []
    for _ in range(400):
        rows = draw.integers(60, size=60)
        scores.append(f1_score(*(np.concatenate([v[i] for i in rows]) for v in (truth, answers)), average="macro"))
    assert result.macro_f1_interval == pytest.approx(np.quantile(scores, (0.025, 0.975)), abs=0.015)
