"""Replay gives the gates and states of every step of a scan, in both directions, for sequences of any length."""

from typing import Any

import pytest
import torch

import modules
from modules import CELLS, gradients, shaken
from tolerances import FLOAT64
from unrolled.scan import scan
from unrolled.scan.replay import replay

B, T, D, H = 4, 6, 3, 5


def of_the_reference(cell: Any, x: torch.Tensor, state: Any, lengths: torch.Tensor | None, reverse: bool):
    """Return gates and states of the reference: gates by an edit that records them, states from shorter runs."""
    seen: list[Any] = []
    scan(cell, x, state, lengths, reverse=reverse, edit=lambda g: seen.append(g) or g, backend="reference")
    seen = seen[::-1] if reverse else seen
    gates = [torch.stack(values, dim=1) for values in zip(*seen, strict=True)]
    whole = torch.full((B,), T) if lengths is None else lengths
    states = []
    for t in range(T):  # the state after step t: of the steps up to it, or from it on
        if reverse:
            rest = (whole - t).clamp(min=0)
            states.append(scan(cell, x[:, t:], state, rest, reverse=True, backend="reference")[1])
        else:
            states.append(scan(cell, x[:, : t + 1], state, whole.clamp(max=t + 1), backend="reference")[1])
    is_real = (torch.arange(T) < whole.unsqueeze(1)).unsqueeze(2)
    fields = [torch.stack(values, dim=1) for values in zip(*states, strict=True)]
    return [value * is_real for value in gates], [value * is_real for value in fields]


@pytest.mark.parametrize("backend", modules.BACKENDS)
@pytest.mark.parametrize("lengths", [None, [6, 3, 0, 1]], ids=str)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_gates_states_and_gradients(name: str, reverse: bool, lengths: list[int] | None, backend: str) -> None:
    torch.manual_seed(0)
    cell = shaken(CELLS[name](D, H)).double()
    x = torch.randn(B, T, D, dtype=torch.float64, requires_grad=True)
    state = cell.State(*(torch.randn(B, H, dtype=torch.float64, requires_grad=True) for _ in cell.State._fields))
    counts = None if lengths is None else torch.tensor(lengths)
    y, _ = scan(cell, x, state, counts, reverse=reverse, backend=backend)
    gates, states = replay(cell, x, y, state, counts, reverse=reverse)
    expected_gates, expected_states = of_the_reference(cell, x, state, counts, reverse)
    found, expected = [*gates, *states], [*expected_gates, *expected_states]
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=FLOAT64)
    leaves = [x, *state, *cell.parameters()]
    for a, b in zip(gradients(found, leaves), gradients(expected, leaves), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=20 * FLOAT64)


@pytest.mark.parametrize("name", CELLS)
def test_no_steps_have_no_gates(name: str) -> None:
    cell = CELLS[name](D, H)
    y, _ = scan(cell, torch.zeros(B, 0, D))
    for reverse in (False, True):
        gates, states = replay(cell, torch.zeros(B, 0, D), y, reverse=reverse)
        assert all(value.shape == (B, 0, H) for value in (*gates, *states))
