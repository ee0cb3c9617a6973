"""Positions: sinusoids by the formula, sequences that continue at their own position, and the maximum length."""

import math

import pytest
import torch
from torch import Tensor

from unrolled.errors import ConfigError, ShapeError
from unrolled.layers import Position, Rotary


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


def turned(x: Tensor, t: int) -> Tensor:
    """x (K,) at step t by complex numbers: units i and i + K/2 are one, and it is multiplied by e^(i angle)."""
    K = len(x)
    angles = torch.tensor([t / 10_000 ** (2 * i / K) for i in range(K // 2)], dtype=torch.float64)
    half = K // 2
    pairs = torch.complex(x[:half], x[half : 2 * half]) * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([pairs.real, pairs.imag, x[2 * half :]])


@pytest.mark.parametrize("K", [2, 3, 6, 7])
def test_rotary_positions_turn_pairs_by_the_angle_of_their_step(K: int) -> None:
    torch.manual_seed(0)
    rotary, x = Rotary(K), torch.randn(2, 3, 40, K, dtype=torch.float64)
    y = rotary(x)
    for t in (0, 1, 39):
        torch.testing.assert_close(y[1, 2, t], turned(x[1, 2, t], t))
    one = rotary(x[:1, :, :2], torch.tensor([2_000]))  # one sequence, and several, continue where they are
    both = rotary(x[:, :, :2], torch.tensor([2_000, 7]))
    for found, sequence, t in ((one[0, 0, 1], 0, 2_001), (both[0, 0, 1], 0, 2_001), (both[1, 0, 1], 1, 8)):
        torch.testing.assert_close(found, turned(x[sequence, 0, 1], t))
    assert rotary(x.to(torch.bfloat16)).dtype == torch.bfloat16


@pytest.mark.parametrize("K", [8, 5])
def test_a_product_of_rotated_vectors_depends_on_their_distance_alone(K: int) -> None:
    torch.manual_seed(0)
    query, key = torch.randn(2, 1, 1, 1, K, dtype=torch.float64)
    rotary = Rotary(K)

    def product(t: int, s: int) -> Tensor:
        return (rotary(query, torch.tensor([t])) * rotary(key, torch.tensor([s]))).sum()

    torch.testing.assert_close(product(5, 2), product(905, 902))
    torch.testing.assert_close(product(0, 0), (query * key).sum())
    assert (product(5, 2) - product(5, 3)).abs() > 1e-3


def test_rotary_positions_have_a_limit_only_if_it_is_set() -> None:
    x = torch.randn(2, 1, 8, 6)
    assert Rotary(6)(torch.zeros(1, 1, 5_000, 6)).shape == (1, 1, 5_000, 6)
    limited = Rotary(6, max_length=9)
    torch.testing.assert_close(  # padding needs no position
        limited(x, torch.tensor([7, 1]), torch.tensor([2, 8]))[0, :, :2], Rotary(6)(x, torch.tensor([7, 1]))[0, :, :2]
    )
    with pytest.raises(ShapeError, match=r"at most 9 steps here \(window\): got 10"):
        limited(x, torch.tensor([2, 1]))
    with pytest.raises(ConfigError, match=r'position "rotary" .* must be at least 2: got 1'):
        Rotary(1)


def test_a_table_made_in_inference_mode_serves_a_training() -> None:
    rotary, x = Rotary(6), torch.randn(1, 1, 4, 6)
    with torch.inference_mode():
        rotary(x)
    rotary(x.requires_grad_()).sum().backward()
    assert x.grad is not None
