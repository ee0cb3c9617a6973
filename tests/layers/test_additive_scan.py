"""The additive scan against the loop that it is the twin of, and its gradients against differences."""

from itertools import product

import pytest
import torch
from torch import Tensor

from parts import CELLS, gradients, shaken
from unrolled.layers import Additive, AttentionCarry, Bahdanau, Memory, Recurrent, Stacked, additive_scan

B, T, S, D, H, SEEN = 3, 4, 5, 2, 4, 6
LENGTHS = {"full": None, "ragged": torch.tensor([4, 0, 2])}


def decoder(cell: str, **options: float) -> tuple[Bahdanau, Memory, AttentionCarry]:
    torch.manual_seed(0)
    layer = Recurrent(CELLS[cell](D + SEEN, H), **options)
    part = shaken(Bahdanau(Stacked([layer]), Additive(H, SEEN, 3))).double()
    outputs = torch.randn(B, S, SEEN).double().requires_grad_()
    memory = Memory(outputs, part.score.keys(outputs), torch.tensor([5, 1, 3]), ())
    state = layer.cell.State(*(torch.randn(B, H).double().requires_grad_() for _ in layer.cell.State._fields))
    return part, memory, part.begin((state,), memory)


def run(part: Bahdanau, x: Tensor, memory: Memory, carry: AttentionCarry, lengths: Tensor | None) -> list[Tensor]:
    y, after = part(x, memory, carry, lengths)
    return [y, after.weights, after.context, *after.layers[0]]


@pytest.mark.parametrize(("cell", "lengths", "dropout"), [*product(CELLS, LENGTHS, (0.0, 0.5))])
def test_it_equals_the_loop_in_outputs_states_and_gradients(cell: str, lengths: str, dropout: float) -> None:
    found = []
    for backend in ("auto", "reference"):
        part, memory, carry = decoder(cell, recurrent_dropout=dropout)
        part.layers.layers[0].backend = backend
        x = torch.randn(B, T, D, generator=torch.Generator().manual_seed(1)).double().requires_grad_()
        torch.manual_seed(2)
        outputs = run(part, x, memory, carry, LENGTHS[lengths])
        entered = [x, memory.outputs, *carry.layers[0], *part.parameters()]
        found.append([value.detach() for value in outputs] + gradients(outputs, entered))
    for ours, loop in zip(*found, strict=True):
        torch.testing.assert_close(ours, loop, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_its_gradients_are_those_of_the_function(cell: str) -> None:
    part, memory, carry = decoder(cell)
    x = torch.randn(B, T, D).double().requires_grad_()

    def function(x: Tensor, outputs: Tensor, *state: Tensor) -> list[Tensor]:
        kept = memory._replace(outputs=outputs, keys=part.score.keys(outputs))
        return run(part, x, kept, carry._replace(layers=(type(carry.layers[0])(*state),)), LENGTHS["ragged"])

    assert torch.autograd.gradcheck(function, (x, memory.outputs, *carry.layers[0]))


def test_what_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    part, memory, carry = decoder("gru")
    layer, x = part.layers.layers[0], torch.randn(B, T, D).double()
    assert additive_scan.serves(layer, x)
    with torch.no_grad():
        assert not additive_scan.serves(layer, x)
    with torch.autocast("cpu"):
        assert not additive_scan.serves(layer, x)
    for backend in ("fused", "torch", "reference"):  # asked for by name
        layer.backend = backend
        assert not additive_scan.serves(layer, x)

    class Edited(type(layer.cell)):
        """A copy of the cell that somebody has changed."""

    assert not additive_scan.serves(Recurrent(Edited(D + SEEN, H)), x)
    called = []
    monkeypatch.setattr(additive_scan, "scan", lambda *arguments: called.append(arguments))
    part(x, memory, carry)
    assert not called


def test_frozen_weights_and_a_second_backward() -> None:
    part, memory, carry = decoder("gru")
    part.layers.layers[0].cell.weight_h.requires_grad_(False)
    x = torch.randn(B, T, D).double().requires_grad_()
    y, _ = part(x, memory, carry)
    first = torch.autograd.grad(y.sum(), x, retain_graph=True)
    assert torch.equal(first[0], torch.autograd.grad(y.sum(), x)[0])
    assert part.layers.layers[0].cell.weight_h.grad is None


def test_the_gradient_that_comes_in_is_left_as_it_is() -> None:
    part, memory, carry = decoder("gru")
    memory = memory._replace(outputs=memory.outputs[:1], keys=memory.keys[:1], lengths=memory.lengths[:1])
    state = carry.layers[0]._replace(h=carry.layers[0].h[:1])
    x, beside = torch.randn(1, T, D).double(), torch.randn(1, T, H).double().requires_grad_()
    y, _ = part(x, memory, part.begin((state,), memory))
    weights = torch.randn(1, T, H).double()
    ((y + beside) * weights).sum().backward()
    assert torch.equal(beside.grad, weights)
