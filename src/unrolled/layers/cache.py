"""The key-value cache: the state of causal self-attention, in buffers with capacity for further steps.

A state is a value. Its tensors may be views of a buffer that later steps are written behind; two continuations of one
state do not disturb each other, because only the newest state of a buffer is extended in place.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled import shapes
from unrolled.eager import eager
from unrolled.kernels.native import kernels
from unrolled.state import State

__all__ = ["AttentionState", "Buffer", "extended_state", "initial_state"]


SMALLEST = 32  # steps of a buffer: fewer would only be replaced soon


class _Cache(NamedTuple):
    key: Tensor
    value: Tensor
    length: Tensor


class AttentionState(_Cache):
    """The state of causal self-attention: keys and values of all steps so far.

    Args:
        key, value: keys and values (B, M, P, K) of M heads and P steps.
        length: number of steps (B,) of each sequence, all that later steps attend to.
    """

    buffer: Buffer | None = None
    """The buffer that the tensors are views of, with capacity for further steps; None: they have their own memory."""

    def selected(self, index: Tensor, spare: State = None) -> AttentionState:
        """Return the state of the sequences at `index`, in a buffer with capacity for further steps.

        Args:
            index: integers (B',).
            spare: a state that `selected` has returned and that nobody reads any more; its buffer is used if it fits.
        """
        index = index.to(self.key.device).contiguous()
        length = self.length.index_select(0, index)
        if not eager(self.key, self.value, self.length) or self.key.requires_grad or torch.is_grad_enabled():
            return AttentionState(self.key.index_select(0, index), self.value.index_select(0, index), length)
        buffer = Buffer.selected(self, index, length, None if spare is None else spare.buffer)
        return buffer.state(self.key.shape[2], length)


class Buffer:
    """Keys and values (B, M, C, K) of up to C steps. Only the newest of their states may be extended in place.

    Args:
        key, value: the buffers; steps that no state has are undefined.
        newest: lengths (B,) of the newest state.
        even: whether they are all equal to its number of steps P.
        written: the largest P of all states.
    """

    def __init__(self, key: Tensor, value: Tensor, newest: Tensor, *, even: bool, written: int) -> None:
        self.key, self.value, self.newest, self.even, self.written = key, value, newest, even, written

    @classmethod
    def copied(cls, state: AttentionState, capacity: int) -> Buffer:
        """Return a buffer with a copy of the state."""
        B, M, P, K = state.key.shape
        even, is_newest = _is_even(state), state.buffer is not None and state.buffer.newest is state.length
        copies: list[Tensor] = []
        for leaf in (state.key, state.value):
            copy = leaf.new_empty(B, M, capacity, K)
            if not even and not is_newest:  # steps that another continuation may have written
                leaf = leaf.masked_fill(~shapes.real(state.length, P)[:, None, :, None], 0)
            copy[:, :, :P] = leaf
            copies.append(copy)
        return cls(copies[0], copies[1], state.length, even=even, written=P)

    @classmethod
    def selected(cls, state: AttentionState, index: Tensor, length: Tensor, spare: Buffer | None) -> Buffer:
        """Return a buffer with the sequences at `index`, of these lengths: `spare`, or a new one where it is small."""
        (_, M, P, K), B = state.key.shape, len(index)
        buffer, own = spare, state.buffer
        even, is_newest = _is_even(state), own is not None and own.newest is state.length
        if not even and not is_newest:
            state = Buffer.copied(state, P).state(P, state.length)
        if (
            buffer is None
            or buffer is own
            or buffer.key.shape[:2] != (B, M)
            or buffer.key.shape[2] <= P
            or (buffer.key.dtype, buffer.key.device) != (state.key.dtype, state.key.device)
            or buffer.key.is_inference() != torch.is_inference_mode_enabled()
            or (not even and buffer.written > P)  # what it holds behind P is finite, but not this state's
        ):
            capacity = max(SMALLEST, 2 * P) if own is None or own.key.shape[2] <= P else own.key.shape[2]
            key, value = (leaf.new_empty(B, M, capacity, K) for leaf in (state.key, state.value))
            buffer = cls(key, value, length, even=even, written=P)
        _gather(index, [state.key, state.value], [buffer.key, buffer.value])
        buffer.newest, buffer.even, buffer.written = length, even, max(P, buffer.written)
        return buffer

    @staticmethod
    def of(state: AttentionState, needed: int) -> Buffer:
        """Return the state's buffer if it may be extended in place to `needed` steps, else a new one with a copy."""
        buffer = state.buffer
        if buffer is None or buffer.newest is not state.length or buffer.key.shape[2] < needed:
            return Buffer.copied(state, max(needed, SMALLEST, 2 * state.key.shape[2]))
        if buffer.key.is_inference() and not torch.is_inference_mode_enabled():  # torch forbids writing to it
            return Buffer.copied(state, buffer.key.shape[2])
        return buffer

    def state(self, steps: int, length: Tensor) -> AttentionState:
        """Return the first steps as a state, which is then the newest.

        Args:
            steps: P.
            length: (B,).
        """
        state = AttentionState(self.key.narrow(2, 0, steps), self.value.narrow(2, 0, steps), length)
        self.newest, state.buffer = length, self
        if steps > self.written:
            self.written = steps
        return state


def _gather(index: Tensor, leaves: list[Tensor], to: list[Tensor]) -> None:
    """Copy the sequences at `index` of keys and values (B, M, P, K) into the first P steps of buffers."""
    P = leaves[0].shape[2]
    if kernels is not None and leaves[0].is_cpu and all(_in_steps(leaf) for leaf in leaves):
        kernels.gather_heads(index, leaves, to, P)
        return
    for leaf, buffer in zip(leaves, to, strict=True):
        torch.index_select(leaf, 0, index, out=buffer.narrow(2, 0, P))


def _in_steps(leaf: Tensor) -> bool:
    """Return True for float32 keys or values (B, M, P, K) whose steps follow each other in memory."""
    return leaf.dtype is torch.float32 and leaf.stride(3) == 1 and leaf.stride(2) == leaf.shape[3]


def _is_even(state: AttentionState) -> bool:
    """Return whether all sequences have P steps; read from the lengths only where no buffer knows it."""
    buffer = state.buffer
    if buffer is not None and buffer.newest is state.length:
        return buffer.even
    return bool((state.length == state.key.shape[2]).all())


def initial_state(key: Tensor, value: Tensor, lengths: Tensor | None) -> AttentionState:
    """Return the state after a first call."""
    B, _, T, _ = key.shape
    if lengths is None:
        return AttentionState(key, value, torch.full((B,), T, device=key.device))
    P = T if not eager(lengths) else int(lengths.max()) if B else 0
    padding = ~shapes.real(lengths, P)[:, None, :, None]
    return AttentionState(
        key[:, :, :P].masked_fill(padding, 0), value[:, :, :P].masked_fill(padding, 0), lengths.long()
    )


def _recorded_state(state: AttentionState, key: Tensor, value: Tensor, lengths: Tensor | None) -> AttentionState:
    """Return the state with new keys and values appended, of P + T steps whatever the sequences' lengths.

    For calls that are not `eager`: the longest sequence is not known, and no buffer is shared.
    """
    T = key.shape[2]
    position = (state.length[:, None] + torch.arange(T, device=key.device))[:, None, :, None]  # (B, 1, T, 1)
    padding = None if lengths is None else ~shapes.real(lengths, T)[:, None, :, None]

    def extended(old: Tensor, new: Tensor) -> Tensor:
        new = new if padding is None else new.masked_fill(padding, 0)
        return F.pad(old, (0, 0, 0, T)).scatter(2, position.expand_as(new), new)

    length = state.length + (T if lengths is None else lengths)
    return AttentionState(extended(state.key, key), extended(state.value, value), length)


def extended_state(
    state: AttentionState, key: Tensor, value: Tensor, lengths: Tensor | None
) -> tuple[AttentionState, bool]:
    """Append new keys and values (B, M, T, K) to those of each sequence.

    Returns:
        The new state, and whether all sequences have the same length.
    """
    B, _, T, _ = key.shape
    before = state.key.shape[2]
    if not eager(state.length):
        return _recorded_state(state, key, value, lengths), False
    even = _is_even(state)
    if lengths is None and even:
        length = state.length + T
        if torch.is_grad_enabled() and (key.requires_grad or state.key.requires_grad):
            new = AttentionState(torch.cat([state.key, key], 2), torch.cat([state.value, value], 2), length)
            return new, True
        buffer = Buffer.of(state, before + T)
        buffer.key[:, :, before : before + T], buffer.value[:, :, before : before + T] = key, value
        return buffer.state(before + T, length), True
    length = state.length + (T if lengths is None else lengths)
    P = int(length.max()) if B else 0
    buffer = Buffer.copied(state, P) if torch.is_grad_enabled() else Buffer.of(state, P)
    real = torch.ones(B, T, dtype=torch.bool) if lengths is None else shapes.real(lengths, T)
    sequence, step = real.to(key.device).nonzero(as_tuple=True)
    position = state.length[sequence] + step
    for added, to in ((key, buffer.key), (value, buffer.value)):
        to[:, :, before:P] = 0  # of sequences that end before P
        to[sequence, :, position] = added[sequence, :, step]
    even = B > 0 and int(length.min()) == P
    buffer.even = even
    return buffer.state(P, length), lengths is None and even
