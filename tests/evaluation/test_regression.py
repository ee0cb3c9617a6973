"""Metrics of predicted numbers, against scikit-learn and scipy."""

import json
import math
import warnings
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from unrolled.errors import DataError, ShapeError
from unrolled.evaluation import evaluate_regression
from unrolled.evaluation.intervals import draws, spread

NAMES = ("mae", "rmse", "r2", "pearson", "spearman")


def numbers(seed: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Random true and predicted numbers, with many ties for every third seed, of any size and unit."""
    draw = np.random.default_rng(seed)
    N = int(draw.integers(2, 60))
    truth = draw.normal(draw.normal() * 100, 10.0 ** draw.integers(-6, 6), N)
    predicted = draw.normal() * truth + draw.normal(0, truth.std(), N)
    if seed % 3 == 0:
        truth, predicted = draw.integers(0, 4, N).astype(float), draw.integers(0, 3, N).astype(float)
    return truth, predicted


def theirs(truth: Any, predicted: Any) -> dict[str, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy's about constants
        return {
            "mae": metrics.mean_absolute_error(truth, predicted),
            "rmse": metrics.root_mean_squared_error(truth, predicted),
            "r2": metrics.r2_score(truth, predicted) if len(set(truth)) > 1 else math.nan,
            "pearson": stats.pearsonr(truth, predicted).statistic,
            "spearman": stats.spearmanr(truth, predicted).statistic,
        }


def evaluate(truth: Any, predicted: Any, **settings: Any) -> Any:
    return evaluate_regression(truth, predicted, np.ones(len(truth), int), **{"mean": 0.0, "deviation": 1.0} | settings)


@pytest.mark.parametrize("seed", range(60))
def test_figures_are_those_of_scikit_learn_and_scipy(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unrolled.evaluation.regression.draws", lambda N: [np.ones(N, int)])
    truth, predicted = numbers(seed)
    result, expected = evaluate(truth, predicted), theirs(truth, predicted)
    for name in NAMES:
        value = getattr(result, name)
        assert (math.nan if value is None else value) == pytest.approx(expected[name], rel=1e-9, abs=1e-12, nan_ok=True)


def test_intervals_resample_pairs_and_rank_them_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unrolled.evaluation.regression.draws", lambda N: draws(N, resamples=80))
    draw = np.random.default_rng(1)
    truth = draw.integers(0, 9, 40).astype(float)
    predicted = truth + draw.integers(-3, 4, 40)
    result, generator = evaluate(truth, predicted), np.random.default_rng(0)
    rows = [generator.integers(40, size=40) for _ in range(80)]
    found = [theirs(truth[drawn], predicted[drawn]) for drawn in rows]
    for name in NAMES:
        expected = spread(np.array([each[name] for each in found]))
        assert getattr(result, f"{name}_interval") == pytest.approx(expected), name
        assert expected.low < getattr(result, name) < expected.high


def test_constant_numbers_leave_correlations_undefined() -> None:
    result = evaluate([2.0, 2.0, 2.0], [1.0, 2.0, 3.0])
    assert (result.r2, result.pearson, result.spearman) == (None, None, None)
    assert (result.r2_interval, result.spearman_interval, result.mean_r2) == (None, None, None)
    assert "undefined" in result.text()
    same = evaluate([1.0, 2.0, 3.0], [0.1, 0.1, 0.1])
    assert same.r2 < 0
    assert same.pearson is same.spearman is None
    one = evaluate([3.0], [1.0])
    assert (one.mae, one.mae_interval, one.r2) == (2.0, (2.0, 2.0), None)


def test_the_baseline_is_the_mean_of_the_training_split() -> None:
    truth = np.array([1.0, 2.0, 6.0])
    result = evaluate(truth, truth, mean=2.5, deviation=2.0)
    always = np.full(3, 2.5)
    assert (result.mean, result.mae, result.r2, result.spearman) == (2.5, 0, 1, pytest.approx(1))
    assert result.mean_mae == pytest.approx(metrics.mean_absolute_error(truth, always))
    assert result.mean_rmse == pytest.approx(metrics.root_mean_squared_error(truth, always))
    assert result.mean_r2 == pytest.approx(metrics.r2_score(truth, always))
    assert result.loss_nats == pytest.approx(-stats.norm.logpdf(0))
    off = evaluate(truth, np.array([3.0, 2.0, 2.0]), mean=2.5, deviation=2.0)
    assert off.loss_nats == pytest.approx(-stats.norm.logpdf([1, 0, 2]).mean())


def test_errors_by_length() -> None:
    truth, lengths = np.arange(100.0), np.repeat([3, 9], 50)
    predicted = truth + np.repeat([1.0, 3.0], 50)
    short, long = evaluate_regression(truth, predicted, lengths, mean=0.0, deviation=1.0).by_length
    assert (short.shortest, short.longest, short.n, short.mae, short.mae_interval) == (3, 3, 50, 1.0, (1.0, 1.0))
    assert (long.shortest, long.n, long.mae) == (9, 50, 3.0)


def test_numbers_of_any_size() -> None:
    for unit in (1e-90, 1e90):
        result = evaluate(np.array([1.0, 2.0, 4.0]) * unit, np.array([1.0, 3.0, 4.0]) * unit, deviation=unit)
        assert result.r2 == pytest.approx(1 - 1 / (14 / 3))
        assert result.pearson == pytest.approx(stats.pearsonr([1, 2, 4], [1, 3, 4]).statistic)
        assert math.isfinite(result.rmse)


def test_the_result_is_json_and_fits_80_columns() -> None:
    result = evaluate(*numbers(1))
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["mae"] == result.mae
    assert max(map(len, result.text().splitlines())) <= 80


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ShapeError, match=r"must be \(N,\)"):
        evaluate([1.0, 2.0], [1.0])
    with pytest.raises(DataError, match="no example"):
        evaluate([], [])
    with pytest.raises(DataError, match="not finite"):
        evaluate([1.0], [math.nan])
    with pytest.raises(DataError, match="deviation must be above 0: got 0"):
        evaluate([1.0], [1.0], deviation=0)
    with pytest.raises(DataError, match="the errors are too large next to the deviation, 1e-300"):
        evaluate([1.0], [2.0], deviation=1e-300)
    with pytest.raises(ShapeError, match="lengths must be integers"):
        evaluate_regression([1.0], [1.0], [1.5], mean=0, deviation=1)
