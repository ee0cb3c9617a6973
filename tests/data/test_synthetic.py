"""Synthetic tasks: their answers, the score at chance, and the expected differences between models."""

import pytest
import torch
from torch.nn import functional as F

from unrolled.api import build
from unrolled.config import ModelConfig
from unrolled.data.encoding.tokenizers import SEP
from unrolled.data.synthetic import FIRST, TASKS, Synthetic, make
from unrolled.errors import ConfigError
from unrolled.models import Ids, Model


@pytest.mark.parametrize("name", TASKS)
def test_a_batch_is_a_pure_function_of_seed_and_index(name: str) -> None:
    task = make(name, 6, seed=3)
    first = task.batch(7, 4)
    task.batch(8, 4)
    assert all(torch.equal(a, b) for a, b in zip(first, make(name, 6, seed=3).batch(7, 4), strict=True))
    assert not torch.equal(first.inputs, task.batch(8, 4).inputs)
    assert not torch.equal(first.inputs, make(name, 6, seed=4).batch(7, 4).inputs)
    if not task.features:
        assert FIRST > first.inputs.min() >= SEP or first.inputs.min() >= FIRST
        assert first.inputs.max() < task.vocabulary_size
        assert first.targets.max() < task.num_outputs


def test_what_is_answers() -> None:
    inputs, targets = make("recall", 3, symbols=4).batch(0, 50)
    assert inputs.shape == (50, 4 + 3)
    assert torch.equal(inputs[:, 0] - FIRST, targets)
    assert torch.equal(inputs[:, :4].sort(1).values, (FIRST + torch.arange(4)).expand(50, 4)), "all symbols each time"
    assert (inputs[:, 4:] == FIRST + 4).all()
    inputs, targets = make("parity", 9).batch(0, 50)
    assert torch.equal((inputs - FIRST).sum(1) % 2, targets)
    for name in ("copy", "reverse"):
        inputs, targets = make(name, 5, symbols=3).batch(0, 50)
        symbols = inputs[:, :5] - FIRST
        assert inputs.shape == targets.shape == (50, 11)
        assert (inputs[:, 5] == SEP).all()
        assert (targets[:, :6] == -1).all()
        assert torch.equal(targets[:, 6:], symbols if name == "copy" else symbols.flip(1))
    inputs, targets = make("adding", 5).batch(0, 50)
    assert (inputs[:, :, 1].sum(1) == 2).all()
    torch.testing.assert_close(targets, (inputs[:, :, 0] * inputs[:, :, 1]).sum(1))


@pytest.mark.parametrize("name", TASKS)
def test_chance_is_what_the_best_constant_answer_reaches(name: str) -> None:
    task, n = make(name, 7, symbols=4), 4000
    targets = task.batch(0, n).targets.flatten()
    if name == "adding":
        reached = float(((targets - 1) ** 2).mean())
        assert reached == pytest.approx(task.at_chance, abs=0.02)
        return
    answers = targets[targets >= 0]
    reached = float(answers.bincount().max()) / len(answers)
    assert reached == pytest.approx(task.at_chance, abs=0.04)


def accuracy(row: str, task: Synthetic, updates: int) -> float:
    """What a small network of the row reaches on batches it has not seen."""
    torch.manual_seed(0)
    model: Model = build(
        row, Ids(task.vocabulary_size), task.num_outputs, ModelConfig(embedding_size=8, hidden_size=24, dropout=0)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for index in range(updates):
        inputs, targets = task.batch(index, 64)
        F.cross_entropy(model(inputs)[0], targets).backward()
        optimizer.step()
        optimizer.zero_grad()
    inputs, targets = task.batch(10**6, 512)
    with torch.no_grad():
        return float((model(inputs)[0].argmax(1) == targets).double().mean())


def test_an_lstm_recalls_what_a_bag_cannot_know() -> None:
    task = make("recall", 6, symbols=4)
    assert accuracy("lstm", task, 120) > 0.95
    assert accuracy("feedforward", task, 120) < task.at_chance + 0.08  # 4 standard deviations of 512 answers


def test_what_cannot_be_made_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r'no synthetic task "recal" \(did you mean "recall"\?\); there are recall, par'
    ):
        make("recal", 3)
    with pytest.raises(ConfigError, match="length must be at least 2: got 1"):
        make("adding", 1)
    with pytest.raises(ConfigError, match="symbols must be at least 2: got 1"):
        make("copy", 3, symbols=1)
