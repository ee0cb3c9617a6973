"""Metrics of several labels a text, against scikit-learn."""

import json
import math
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from unrolled.errors import DataError, ShapeError
from unrolled.evaluation import evaluate_multi_label
from unrolled.evaluation.intervals import resample, spread


def case(seed: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Random labels and probabilities: rare, absent and constant labels, texts without any, ties."""
    draw = np.random.default_rng(seed)
    N, K = int(draw.integers(1, 40)), int(draw.integers(1, 7))
    truth = draw.random((N, K)) < draw.random(K) ** 2
    probabilities = np.clip(0.3 * truth + draw.random((N, K)) * draw.random(), 0, 1)
    return truth, probabilities.round(1) if seed % 3 == 0 else probabilities


def evaluate(truth: Any, probabilities: Any, **settings: Any) -> Any:
    labels = [f"label {k}" for k in range(np.shape(truth)[1])]
    return evaluate_multi_label(labels, truth, probabilities, **{"usual": labels[:1]} | settings)


@pytest.mark.parametrize("seed", range(60))
def test_figures_are_those_of_scikit_learn(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    few = lambda values: resample(values, resamples=2)  # noqa: E731
    monkeypatch.setattr("unrolled.evaluation.multi_label.resample", few)
    truth, probabilities = case(seed)
    threshold = (0.5, 0.3)[seed % 2]
    result, answers = evaluate(truth, probabilities, threshold=threshold), probabilities >= threshold
    always = np.zeros_like(truth)
    always[:, 0] = True

    def theirs(answered: Any, average: Any) -> Any:
        # as indicators of at least two columns, which scikit-learn does not take for binary classes
        both = [np.concatenate([each, np.zeros_like(each[:, :0])], axis=1) for each in (truth, answered)]
        if truth.shape[1] == 1:
            return metrics.precision_recall_fscore_support(*both, average="binary", zero_division=0)[:3]
        return metrics.precision_recall_fscore_support(*both, average=average, zero_division=0)[:3]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for average in ("micro", "macro", "samples") if truth.shape[1] > 1 else ("micro", "macro"):
            found = [getattr(result, f"{average}_{name}") for name in ("precision", "recall", "f1")]
            assert found == pytest.approx(theirs(answers, average)), average
            assert getattr(result, f"usual_{average}_f1") == pytest.approx(theirs(always, average)[2])
        assert result.subset_accuracy == pytest.approx(metrics.accuracy_score(truth, answers))
        assert result.usual_subset_accuracy == pytest.approx(metrics.accuracy_score(truth, always))
        assert result.hamming_loss == pytest.approx(metrics.hamming_loss(truth, answers))
        for k, scores in enumerate(result.labels):
            expected = metrics.precision_recall_fscore_support(
                truth[:, k], answers[:, k], average="binary", zero_division=0
            )[:3]
            assert [scores.precision, scores.recall, scores.f1] == pytest.approx(expected)
            assert scores.support == truth[:, k].sum()
        occurs = [k for k in range(truth.shape[1]) if truth[:, k].any()]
        each = [metrics.average_precision_score(truth[:, k], probabilities[:, k]) for k in occurs]
        assert result.mean_average_precision == (pytest.approx(np.mean(each)) if each else None)


def test_the_loss_is_the_sum_over_the_labels() -> None:
    truth, probabilities = case(5)
    inner = probabilities.clip(0.01, 0.99)
    every = [metrics.log_loss(truth[:, k], inner[:, k], labels=[False, True]) for k in range(truth.shape[1])]
    assert evaluate(truth, inner).loss_nats == pytest.approx(sum(every))
    assert math.isfinite(evaluate([[True, False]], [[0.0, 1.0]]).loss_nats)


def test_intervals_resample_texts() -> None:
    draw = np.random.default_rng(1)
    truth = draw.random((50, 3)) < 0.4
    probabilities = np.clip(0.3 * truth + draw.random((50, 3)) * 0.7, 0, 1)
    result, generator = evaluate(truth, probabilities), np.random.default_rng(0)
    answers, found = probabilities >= 0.5, []
    for _ in range(2000):
        drawn = generator.integers(50, size=50)
        a, b = truth[drawn], answers[drawn]
        found.append([2 * (a & b).sum() / (a.sum() + b.sum()), (a == b).all(axis=1).mean()])
    for column, name in enumerate(("micro_f1", "subset_accuracy")):
        expected = spread(np.array(found)[:, column])
        assert getattr(result, f"{name}_interval") == pytest.approx(expected)
    for name in ("micro_f1", "macro_f1", "samples_f1", "subset_accuracy"):
        low, high = getattr(result, f"{name}_interval")
        assert low < getattr(result, name) < high


def test_the_result_is_json_and_fits_80_columns() -> None:
    truth, probabilities = case(4)
    result = evaluate(truth, probabilities)
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["micro_f1"] == result.micro_f1
    assert max(map(len, result.text().splitlines())) <= 80


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ShapeError, match=r"must be \(N, K=2\): got \(1, 2\) and \(1, 3\)"):
        evaluate([[True, False]], [[0.1, 0.2, 0.3]])
    with pytest.raises(DataError, match="no example"):
        evaluate(np.zeros((0, 2), bool), np.zeros((0, 2)))
    with pytest.raises(DataError, match="not a number from 0 to 1"):
        evaluate([[True]], [[math.nan]])
