"""Positions: sinusoids by the formula, sequences that continue at their own position, and the maximum length."""

import math

import pytest
import torch

from unrolled.errors import ConfigError, ShapeError
from unrolled.layers import Position


@pytest.mark.parametrize("size", [8, 7])
def test_sinusoids_are_those_of_the_paper(size: int) -> None:
    positions = Position(size, max_length=100)(torch.zeros(1, 40, size, dtype=torch.float64))
    for t in (0, 1, 39):
        for d in range(size):
            angle = t / 10_000 ** (2 * (d // 2) / size)
            assert float(positions[0, t, d]) == pytest.approx(math.cos(angle) if d % 2 else math.sin(angle), abs=1e-12)


@pytest.mark.parametrize("kind", ["sinusoidal", "learned"])
def test_sequences_continue_at_their_own_position(kind: str) -> None:
    position, x = Position(6, kind, max_length=9), torch.randn(3, 4, 6)
    from_start = position(torch.zeros(1, 9, 6))[0]
    y = position(x, torch.tensor([0, 5, 2]))
    for b, begin in enumerate((0, 5, 2)):
        torch.testing.assert_close(y[b], x[b] + from_start[begin : begin + 4])


@pytest.mark.parametrize("kind", ["sinusoidal", "learned"])
def test_padding_needs_no_position(kind: str) -> None:
    position, x = Position(6, kind, max_length=9), torch.randn(2, 8, 6)
    from_start = position(torch.zeros(1, 9, 6))[0]
    y = position(x, torch.tensor([7, 1]), torch.tensor([2, 8]))  # the longest of both would end at 15
    torch.testing.assert_close(y[0, :2], x[0, :2] + from_start[7:])
    torch.testing.assert_close(y[1], x[1] + from_start[1:])
    y = position(torch.zeros(1, 12, 6), None, torch.tensor([9]))
    torch.testing.assert_close(y[0, :9], from_start)
    with pytest.raises(ShapeError, match="got 10"):
        position(x, torch.tensor([7, 1]), torch.tensor([3, 8]))


def test_a_sequence_beyond_the_limit_is_refused() -> None:
    position = Position(6, "learned", max_length=9)
    position(torch.zeros(1, 9, 6))
    with pytest.raises(ShapeError, match=r"at most 9 steps here \(window\): got 10"):
        position(torch.zeros(1, 10, 6))
    with pytest.raises(ShapeError, match="got 11"):
        position(torch.zeros(2, 1, 6), torch.tensor([3, 10]))
    with pytest.raises(ConfigError, match="position must be"):
        Position(6, "rotary", max_length=9)
    with pytest.raises(ConfigError, match='position "learned" .* set window'):
        Position(6, "learned")
    assert Position(6)(torch.zeros(1, 5_000, 6)).shape == (1, 5_000, 6)


def test_a_table_is_made_anew_for_another_dtype() -> None:
    position, x = Position(6), torch.randn(2, 5, 6)
    single = position(x)
    double = position(x.double())
    assert torch.equal(double, Position(6)(x.double()))
    assert not torch.equal(double, double.float().double()), "all its digits"
    assert torch.equal(position(x), single)
    assert position(x).dtype == torch.float32
