"""Scores compared with their formulas, number by number, and weights over real steps only."""

import math

import pytest
import torch
from torch import Tensor

from tolerances import FLOAT64
from unrolled.errors import ConfigError
from unrolled.layers import Additive, Dot, General, Memory, Score

B, T, S, H, D, A = 2, 3, 4, 5, 6, 7
LENGTHS = torch.tensor([3, 1])
REAL = torch.arange(S) < LENGTHS.unsqueeze(1)


def see(score: Score, query: Tensor, outputs: Tensor) -> tuple[Tensor, Tensor]:
    memory = Memory(outputs, score.keys(outputs), LENGTHS, ())
    result: tuple[Tensor, Tensor] = score(query, memory, memory.real)
    return result


def naive(score: Score, query: list[float], output: list[float]) -> float:
    """One score, as its paper writes it."""

    def times(matrix: Tensor, vector: list[float]) -> list[float]:
        return [sum(w * x for w, x in zip(line, vector, strict=True)) for line in matrix.tolist()]

    if isinstance(score, Additive):
        sums = zip(
            times(score.query.weight, query), times(score.key.weight, output), score.key.bias.tolist(), strict=True
        )
        return sum(v * math.tanh(q + k + b) for v, (q, k, b) in zip(score.v.tolist(), sums, strict=True))
    if isinstance(score, General):
        output = times(score.key.weight, output)
    return sum(q * o for q, o in zip(query, output, strict=True))


SCORES = [lambda: Additive(H, D, A), lambda: General(H, D), lambda: Dot(H, H)]


@pytest.mark.parametrize("make", SCORES, ids=["additive", "general", "dot"])
def test_a_score_is_its_formula(make) -> None:
    torch.manual_seed(0)
    score = make().double()
    query, outputs = torch.randn(B, T, H).double(), torch.randn(B, S, score.memory_size).double()
    weights, context = see(score, query, outputs)
    for b in range(B):
        for t in range(T):
            real = [j for j in range(S) if REAL[b, j]]
            exps = {j: math.exp(naive(score, query[b, t].tolist(), outputs[b, j].tolist())) for j in real}
            expected = [exps.get(j, 0.0) / sum(exps.values()) for j in range(S)]
            assert weights[b, t].tolist() == pytest.approx(expected, abs=FLOAT64)
            weighted = sum(w * outputs[b, j] for j, w in enumerate(expected))
            torch.testing.assert_close(context[b, t], weighted, rtol=0, atol=FLOAT64)


@pytest.mark.parametrize("make", SCORES, ids=["additive", "general", "dot"])
def test_weights_sum_to_one_over_the_source_and_are_zero_on_padding(make) -> None:
    torch.manual_seed(0)
    score = make()
    query, outputs = torch.randn(B, T, H) * 30, torch.randn(B, S, score.memory_size) * 30
    weights, _ = see(score, query, outputs)
    torch.testing.assert_close(weights.sum(2), torch.ones(B, T))
    assert not weights.masked_select(~REAL.unsqueeze(1)).any()
    assert torch.equal(weights[1, :, 0], torch.ones(T)), "a source of one token gets all of it"


def test_gradients() -> None:
    torch.manual_seed(0)
    for make in SCORES:
        score = make().double()
        query = torch.randn(B, T, H).double().requires_grad_()
        outputs = torch.randn(B, S, score.memory_size).double().requires_grad_()
        assert torch.autograd.gradcheck(lambda q, o, s=score: see(s, q, o), (query, outputs))


def test_dot_compares_equals_only() -> None:
    with pytest.raises(ConfigError, match='equal size: got 5 and 10.*"general"'):
        Dot(5, 10)


def test_a_score_says_what_it_must_define() -> None:
    with pytest.raises(NotImplementedError, match="keys"):
        Score(H, D).keys(torch.zeros(B, S, D))
    with pytest.raises(NotImplementedError, match="scores"):
        Score(H, D).scores(torch.zeros(B, T, H), Memory(torch.zeros(B, S, D), (), LENGTHS, ()))
