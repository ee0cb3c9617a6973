"""Temperature scaling, against softmax of divided logits and scipy's minimum."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from unrolled.decoding.temperature import HOTTEST, fit_temperature, scaled


def drawn(seed: int, *, certainty: float, K: int = 5, N: int = 500) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N, K), and classes that are drawn from softmax(logits / certainty)."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(size=(N, K)) * 3
    return logits, np.array([draw.choice(K, p=p) for p in softmax(logits / certainty, axis=1)])


@pytest.mark.parametrize("temperature", [0.3, 1.0, 1.7, 12.0])
def test_it_divides_the_logits(temperature: float) -> None:
    logits, _ = drawn(0, certainty=1)
    found = scaled(softmax(logits, axis=1), temperature)
    np.testing.assert_allclose(found, softmax(logits / temperature, axis=1), rtol=1e-9, atol=1e-15)
    np.testing.assert_array_equal(found.argmax(axis=1), logits.argmax(axis=1))


def test_probabilities_of_0_stay_small() -> None:
    found = scaled(np.array([[1.0, 0.0], [0.5, 0.5]]), 2.0)
    assert found[0, 1] < 1e-150
    np.testing.assert_allclose(found, [[1, 0], [0.5, 0.5]], atol=1e-150)


@pytest.mark.parametrize("certainty", [0.5, 1.0, 2.5])
@pytest.mark.parametrize("seed", range(3))
def test_the_fitted_one_has_the_least_loss(certainty: float, seed: int) -> None:
    logits, truth = drawn(seed, certainty=certainty)

    def loss(inverse: float) -> float:
        return float(-log_softmax(logits * inverse, axis=1)[np.arange(len(truth)), truth].mean())

    expected = 1 / minimize_scalar(loss, bounds=(1 / HOTTEST, HOTTEST), method="bounded", options={"xatol": 1e-12}).x
    found = fit_temperature(softmax(logits, axis=1), truth)
    assert found == pytest.approx(expected, rel=1e-4)
    assert loss(1 / found) <= loss(1 / expected) + 1e-12
    assert found == pytest.approx(certainty, rel=0.25)


def test_its_bounds_and_a_loss_that_no_temperature_changes() -> None:
    right = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert fit_temperature(right, np.array([0, 1])) == pytest.approx(1 / HOTTEST)
    assert fit_temperature(right, np.array([1, 0])) == pytest.approx(HOTTEST)
    assert fit_temperature(np.ones((3, 1)), np.zeros(3, int)) == 1
    assert fit_temperature(np.array([[1.0, 0.0]]), np.array([0])) == 1
