"""The window: the last n inputs in their order, zeros before the beginning."""

import pytest
import torch

from unrolled.errors import ConfigError, ShapeError
from unrolled.layers import Window


def test_it_shows_the_last_inputs_in_their_order() -> None:
    x = torch.arange(1.0, 9).view(1, 4, 2)  # x_1 … x_4 of size 2
    y, state = Window(2, 3)(x)
    zero = [0.0, 0.0]
    x1, x2, x3, x4 = x[0].tolist()
    assert y[0].tolist() == [zero + zero + x1, zero + x1 + x2, x1 + x2 + x3, x2 + x3 + x4]
    assert state.inputs[0].tolist() == [x3, x4]
    y, state = Window(2, 3)(x[:, :1], state)
    assert y[0].tolist() == [x3 + x4 + x1]


def test_inputs_ahead_end_at_the_last_real_step() -> None:
    x = torch.arange(1.0, 9).view(1, 4, 2)
    zero = [0.0, 0.0]
    x1, x2, x3, x4 = x[0].tolist()
    y, state = Window(2, 3, ahead=1)(x)
    assert y[0].tolist() == [zero + x1 + x2, x1 + x2 + x3, x2 + x3 + x4, x3 + x4 + zero]
    assert state.inputs[0].tolist() == [x4]
    y, state = Window(2, 3, ahead=1)(x, lengths=torch.tensor([2]))
    assert y[0].tolist() == [zero + x1 + x2, x1 + x2 + zero, zero * 3, zero * 3]
    assert state.inputs[0].tolist() == [x2]
    y, _ = Window(2, 3, ahead=1)(x[:, 2:3], state)
    assert y[0].tolist() == [x2 + x3 + zero]
    assert not Window(2, 3, ahead=1).causal


def test_the_state_holds_the_inputs_before_the_padding() -> None:
    x = torch.randn(3, 4, 2)
    y, state = Window(2, 3)(x, lengths=torch.tensor([4, 1, 0]))
    assert torch.equal(state.inputs[0], x[0, 2:])
    assert torch.equal(state.inputs[1], torch.stack([torch.zeros(2), x[1, 0]]))
    assert not state.inputs[2].any()
    assert not y[1, 1:].any()
    assert not y[2].any()


def test_gradients_reach_every_position_of_the_window() -> None:
    x = torch.randn(1, 5, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: Window(2, 3)(x)[0], (x,))


def test_what_is_refused() -> None:
    with pytest.raises(ConfigError, match="a window holds at least 1 input: got 0"):
        Window(2, 0)
    with pytest.raises(ConfigError, match="a window of 3 has at most 2 inputs ahead: got 3"):
        Window(2, 3, ahead=3)
    with pytest.raises(ShapeError, match=r"x must have shape \(B, T, D=2\)"):
        Window(2, 3)(torch.zeros(1, 4, 3))
    assert repr(Window(2, 3)) == "Window(2, length=3, ahead=0)"
