"""Retention and half-life by their formulas, and by the Jacobian that they measure."""

import math

import torch

import small
from unrolled.cells import ElmanCell
from unrolled.inside import memory
from unrolled.scan import scan


def test_the_retention_of_a_gate_is_the_mean_product_between_two_steps() -> None:
    torch.manual_seed(0)
    gate = torch.rand(6, 3, dtype=torch.float64)
    found = memory.of_gate(gate)
    for t in range(6):
        for s in range(6):
            expected = gate[s + 1 : t + 1].prod(dim=0).mean() if s <= t else torch.tensor(0.0)
            assert math.isclose(found[t, s], expected, rel_tol=1e-12, abs_tol=0)
    backwards = memory.of_gate(gate, reverse=True)
    assert math.isclose(backwards[1, 4], gate[1:4].prod(dim=0).mean(), rel_tol=1e-12)
    assert backwards[4, 1] == 0


def test_the_retention_of_an_elman_layer_is_that_of_its_jacobian() -> None:
    """Unit vectors in every direction would give the Frobenius norm over √H: 8 fixed ones are moved by hand."""
    torch.manual_seed(0)
    cell = ElmanCell(2, 5).double()
    x = torch.randn(1, 4, 2, dtype=torch.float64)
    x_gates, h = cell.project(x)[0].detach(), scan(cell, x)[0][0].detach()
    found = memory.of_step(cell, x_gates, h)
    vectors = torch.randn(memory.DIRECTIONS, 5, generator=torch.Generator().manual_seed(0)).double()
    vectors = vectors / vectors.norm(dim=1, keepdim=True)
    jacobian = torch.eye(5, dtype=torch.float64)
    for t in range(1, 4):
        jacobian = torch.diag(1 - h[t] ** 2) @ cell.weight_h.detach() @ jacobian
        torch.testing.assert_close(found[t, 0], (vectors @ jacobian.T).pow(2).sum(1).mean().sqrt(), rtol=1e-12, atol=0)
    torch.testing.assert_close(found.diagonal(), torch.ones(4, dtype=torch.float64))


def test_relu_lets_through_what_is_above_zero() -> None:
    cell = ElmanCell(2, 3, nonlinearity="relu")  # starts with the identity
    for x_gates, expected in ((torch.full((2, 3), -2.0), 0), (torch.full((2, 3), 2.0), 1)):
        h = torch.stack([x_gates[0].relu(), (x_gates[1] + x_gates[0].relu()).relu()])
        assert memory.of_step(cell, x_gates, h)[1, 0] == expected


def test_half_life() -> None:
    gate = torch.tensor([[0.5, 1.0, 0.25], [0.5, 1.0, 0.25]])
    torch.testing.assert_close(memory.half_life(gate), torch.tensor([1.0, 1e9, 0.5]))


def test_what_a_window_and_a_bag_keep() -> None:
    assert memory.of_window(4, 2, 0).tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]
    assert memory.of_window(3, 3, 1).tolist() == [[1, 1, 0], [1, 1, 1], [0, 1, 1]]
    assert memory.of_bag(torch.zeros(4, 2), "mean").tolist() == [[0.25] * 4]
    assert memory.of_bag(torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 1.0]]), "max").tolist() == [[0.5, 0.5, 0.0]]


def test_two_directions_share_one_matrix() -> None:
    trace = small.trained("lstm", num_layers=2, bidirectional=True).explain("the film is warm")
    whole, forward, reverse = (trace[f"{name}retention"] for name in ("", "lstm.l0.", "lstm.l0.reverse."))
    assert torch.equal(whole.tril(), forward)
    assert torch.equal(whole.triu(), reverse)
    trace = small.trained("transformer").explain("the film is warm")
    torch.testing.assert_close(trace["retention"], trace["transformer.l0.weights"].mean(dim=0))
