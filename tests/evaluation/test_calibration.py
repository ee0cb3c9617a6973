"""Calibration against the definition of Guo et al. 2017, as their own code computes it, and examples by hand."""

from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from unrolled.decoding.temperature import scaled
from unrolled.evaluation import evaluate_classification, evaluate_tagging
from unrolled.evaluation.calibration import calibrate
from unrolled.evaluation.reliability import SIDE


def theirs(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the error as in the module ECELoss of github.com/gpleiss/temperature_scaling, in float64."""
    confidences, predictions = torch.from_numpy(probabilities).max(1)
    accuracies = predictions.eq(torch.from_numpy(truth))
    edges = torch.linspace(0, 1, 16, dtype=torch.float64)
    error = 0.0
    for low, high in pairwise(edges):
        inside = confidences.gt(low) & confidences.le(high)
        if inside.any():
            gap = confidences[inside].mean() - accuracies[inside].double().mean()
            error += float(gap.abs() * inside.double().mean())
    return error


def drawn(N: int = 400, K: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    probabilities = draw.dirichlet(np.ones(K) / 2, size=N)
    truth = np.array([draw.choice(K, p=p) for p in scaled(probabilities, 2.0)])  # too certain, by a factor of two
    return truth, probabilities


@pytest.mark.parametrize("seed", range(4))
def test_the_error_is_that_of_guo_et_al(seed: int) -> None:
    truth, probabilities = drawn(seed=seed)
    found = calibrate(truth, probabilities, 1.0)
    assert found.error == found.unscaled_error == pytest.approx(theirs(truth, probabilities), abs=1e-12)
    cooler = calibrate(truth, probabilities, 2.0)
    assert cooler.error == pytest.approx(theirs(truth, scaled(probabilities, 2.0)), abs=1e-12)
    assert cooler.error < cooler.unscaled_error == found.error


def test_an_edge_belongs_to_the_bin_below() -> None:
    """0.6 is 9/15: the upper edge of the ninth bin. And 1 plus a rounding error is in the last one."""
    probabilities = np.array([[0.6, 0.4], [0.61, 0.39], [1 + 1e-15, 0], [0.6, 0.4]])
    found = calibrate(np.array([0, 0, 0, 1]), probabilities, 1.0)
    assert [(round(b.low * 15), round(b.high * 15), b.n, b.accuracy) for b in found.bins] == [
        (8, 9, 2, 0.5),
        (9, 10, 1, 1),
        (14, 15, 1, 1),
    ]
    assert found.error == pytest.approx((2 * 0.1 + 0.39 + 0) / 4)


def test_a_result_tells_the_error_before_and_after_its_temperature() -> None:
    truth, probabilities = drawn()
    labels, lengths = list("abcd"), np.full(400, 3)
    plain = evaluate_classification(labels, truth, probabilities, lengths, majority=0)
    cooled = evaluate_classification(labels, truth, probabilities, lengths, majority=0, temperature=2.0)
    assert "before" not in plain.text()
    line = f"calibration error {cooled.calibration.error:.3f} (expected, 15 bins); {plain.calibration.error:.3f} before"
    assert f"{line} temperature 2\n" in cooled.text()
    assert (cooled.accuracy, cooled.confusion, cooled.top_k) == (plain.accuracy, plain.confusion, plain.top_k)
    right = scaled(probabilities, 2.0)[np.arange(400), truth]
    assert cooled.loss_nats == pytest.approx(-np.log(right).mean())
    assert cooled.brier == pytest.approx(((scaled(probabilities, 2.0) - np.eye(4)[truth]) ** 2).sum(axis=1).mean())
    words = {"seen": np.ones(400, bool), "baseline": truth}
    tags = evaluate_tagging(labels, truth, probabilities, [100] * 4, **words, temperature=2.0)
    assert (tags.calibration, tags.loss_nats) == (cooled.calibration, cooled.loss_nats)
    assert "before temperature 2" in tags.text()
    for shown in (cooled, tags):
        assert max(map(len, shown.text().splitlines())) <= 80


def test_the_picture_is_a_reliability_diagram() -> None:
    """Heights of the bars are the accuracies, and every bin tells its figures."""
    probabilities = np.array([[0.8, 0.2]] * 4 + [[0.3, 0.7]] * 4)
    truth = np.array([0, 0, 0, 1, 1, 1, 0, 0])
    result = evaluate_classification(["<a>", "b"], truth, probabilities, [1] * 8, majority=0)
    svg = result.picture("films & more")
    root = ElementTree.fromstring(svg)
    assert svg == result.picture("films & more")
    names = [title.text for title in root.iter("{http://www.w3.org/2000/svg}title")]
    assert names[0] == "films & more"
    assert "confidence 80.0%: accuracy 75.0% of 4 answers" in names
    assert "confidence 70.0%: accuracy 50.0% of 4 answers" in names
    heights = [
        float(bar.get("height", "")) for bar in root.iter("{http://www.w3.org/2000/svg}rect")
        if "accuracy" in (bar[0].text or "")
    ]  # fmt: skip
    assert heights == pytest.approx([0.5 * SIDE, 0.75 * SIDE], abs=0.06)
    assert "calibration error 0.125 (expected, 15 bins)" in svg
