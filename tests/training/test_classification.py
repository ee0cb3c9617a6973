"""Loss and score of the task classify, by hand."""

import math

import numpy as np
import pytest
import torch

from unrolled.training.classification import class_weights, loss_nats, score_of


def test_balanced_weights_are_inversely_proportional_to_the_counts() -> None:
    """1, 2 and 5 of 8 examples: 8 / (3 · count), so that every class weighs as much as the others."""
    targets = torch.tensor([2, 1, 2, 0, 2, 1, 2, 2])
    weights = class_weights(targets, 3, "balanced")
    assert weights.tolist() == pytest.approx([8 / 3, 8 / 6, 8 / 15])
    assert weights[targets].sum() == pytest.approx(8), "the mean weight of an example is 1"


def test_a_weight_multiplies_the_nats_of_its_class() -> None:
    logits = torch.tensor([[0.0, math.log(3)], [0.0, 0.0]])
    loss = loss_nats(logits, torch.tensor([0, 1]), class_weights=torch.tensor([2.0, 0.5]))
    assert float(loss) == pytest.approx(2 * math.log(4) + 0.5 * math.log(2))


def test_the_score_is_the_mean_over_the_examples() -> None:
    probabilities = np.array([[0.25, 0.75], [0.5, 0.5], [0.9, 0.1]])
    found = score_of(probabilities, torch.tensor([1, 0, 1]))
    assert found.loss_nats == pytest.approx(-(math.log(0.75) + math.log(0.5) + math.log(0.1)) / 3)
    assert found.accuracy == pytest.approx(2 / 3)
