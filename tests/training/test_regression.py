"""Loss and validation score of the task regress."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score
from torch.nn import functional as F

from small import number_run, rated
from unrolled.data.encoding.numbers import Scale
from unrolled.training.regression import loss_nats, score


def test_the_loss_is_that_of_a_gaussian() -> None:
    outputs = torch.randn(7, 1, dtype=torch.float64, requires_grad=True)
    targets = torch.randn(7, dtype=torch.float64)
    expected = F.gaussian_nll_loss(outputs[:, 0], targets, torch.ones(7), full=True, reduction="sum")
    found = loss_nats(outputs, targets)
    torch.testing.assert_close(found, expected)
    (slope,) = torch.autograd.grad(found, outputs)
    torch.testing.assert_close(slope[:, 0], outputs[:, 0] - targets)


def test_a_scale_standardises_numbers_of_any_size() -> None:
    for unit in (1e-99, 1, 1e99):
        numbers = np.array([1.0, 2, 2, 7]) * unit
        scale = Scale.learn(numbers)
        assert scale == pytest.approx((3 * unit, np.std([1, 2, 2, 7]) * unit))
        standard = scale.standardise(numbers)
        assert (standard.mean(), standard.std()) == pytest.approx((0, 1))
        assert scale.restore(standard) == pytest.approx(numbers)
    far = Scale.learn(np.array([1e16, 1e16 + 2]))
    assert far.deviation > 0


def test_the_score_is_mean_loss_and_r2() -> None:
    run = number_run()
    texts, values = zip(*rated(30, seed=3), strict=True)
    targets = run.scale.standardise(np.array(values))
    found = score(run.model, run.sequences(texts), torch.from_numpy(targets))
    predicted = np.array([answer.value for answer in run.decode(texts)])
    errors = run.scale.standardise(predicted) - targets
    assert found.loss_nats == pytest.approx(np.square(errors).mean() / 2 + math.log(2 * math.pi) / 2)
    assert found.r2 == pytest.approx(r2_score(values, predicted))
    assert found.accuracy is None
    assert found.figure("r2") == found.r2
