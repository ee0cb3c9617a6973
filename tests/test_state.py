from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from unrolled import state


class Inner(NamedTuple):
    h: Tensor
    c: Tensor


class Outer(NamedTuple):
    layers: tuple[Inner, ...]
    pool: tuple[()]


def made(B: int) -> Outer:
    return Outer((Inner(torch.randn(B, 3), torch.randn(B, 3)), Inner(torch.randn(B, 2, 4), torch.arange(B))), ())


def test_select_keeps_the_structure_and_the_requested_order() -> None:
    whole = made(4)
    selected = state.select(whole, [2, 0, 2])
    assert type(selected) is Outer
    assert type(selected.layers[0]) is Inner
    assert selected.pool == ()
    for a, b in zip(state.leaves(selected), state.leaves(whole), strict=True):
        assert torch.equal(a, b[[2, 0, 2]])
    assert torch.equal(state.select(whole, torch.tensor([1])).layers[0].h, whole.layers[0].h[1:2])


def test_reorder_does_not_copy_the_memory_of_an_encoder() -> None:
    memory = made(3)
    both = state.EncoderDecoderState(memory, made(3))
    after = state.reorder(both, torch.tensor([1, 0, 0]))
    assert after.memory is memory
    expected = state.select(both.decoder, [1, 0, 0])
    assert all(torch.equal(a, b) for a, b in zip(state.leaves(after.decoder), state.leaves(expected), strict=True))
    assert torch.equal(state.reorder(memory, [2, 1, 0]).layers[0].h, memory.layers[0].h.flip(0))
    assert state.reorder(None, [0]) is None


def test_join_pads_behind_on_every_axis() -> None:
    long, short = torch.ones(1, 3, 2), 2 * torch.ones(1, 1, 1)
    for states in ([long, short], [short, long]):
        joined = state.join([(each,) for each in states])[0]
        (padded,) = (leaf for leaf, each in zip(joined, states, strict=True) if each is short)
        assert padded.tolist() == [[2, 0], [0, 0], [0, 0]]


def test_join_is_the_inverse_of_select() -> None:
    whole = made(4)
    back = state.join([state.select(whole, [0, 1]), state.select(whole, [2]), state.select(whole, [3])])
    assert all(torch.equal(a, b) for a, b in zip(state.leaves(back), state.leaves(whole), strict=True))


def test_the_initial_state_is_none_everywhere() -> None:
    assert state.select(None, [0]) is None
    assert state.join([None, None]) is None
    assert state.detach(None) is None
    assert state.nbytes(None) == 0
    with pytest.raises(ValueError, match="some states are None"):
        state.join([None, made(1)])


def test_like_is_the_inverse_of_leaves() -> None:
    whole, other = made(4), made(2)
    back = state.like(other, list(state.leaves(whole)))
    assert type(back.layers[1]) is Inner
    assert all(torch.equal(a, b) for a, b in zip(state.leaves(back), state.leaves(whole), strict=True))
    for wrong in (list(state.leaves(whole))[1:], [*state.leaves(whole), torch.ones(1)]):
        with pytest.raises(ValueError, match="a state of this structure has 4 tensors: got [35]"):
            state.like(whole, wrong)


def test_detach_forgets_the_history_and_shares_the_numbers() -> None:
    h = torch.ones(2, 3, requires_grad=True) * 2
    detached = state.detach(Inner(h, h))
    assert not detached.h.requires_grad
    assert detached.h.data_ptr() == h.data_ptr()


def test_hold_keeps_the_old_state_where_a_step_is_padding() -> None:
    old, new = made(3), made(3)
    real = torch.tensor([True, False, True])
    held = state.hold(real, new, old)
    for a, n, o in zip(state.leaves(held), state.leaves(new), state.leaves(old), strict=True):
        assert torch.equal(a[0], n[0])
        assert torch.equal(a[1], o[1])


def test_nbytes_counts_every_leaf() -> None:
    assert state.nbytes(made(2)) == 4 * (2 * 3 + 2 * 3 + 2 * 2 * 4) + 8 * 2


def test_other_types_are_refused() -> None:
    with pytest.raises(TypeError, match="list"):
        state.select([torch.ones(2)], [0])
    with pytest.raises(TypeError, match="dict"):
        state.nbytes({"h": torch.ones(2)})


def test_join_refuses_a_part_that_has_read_nothing() -> None:
    full = state.EncoderDecoderState(torch.zeros(1, 2), torch.zeros(1, 3))
    with pytest.raises(ValueError, match="None"):
        state.join([full._replace(decoder=None), full])
