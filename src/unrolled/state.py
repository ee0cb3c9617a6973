"""State is a value: what a part carries from one call to the next.

A state is a NamedTuple or tuple (of such) of tensors, batch first in every leaf; `None` is the beginning of a
sequence, `()` is what a part without memory carries. It is passed in and returned, never stored on a module and never
written after it was returned, so that two continuations of one state cannot disturb each other. Here is everything
that anyone does with one without knowing whose it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = [
    "EncoderDecoderState",
    "State",
    "detach",
    "hold",
    "join",
    "leaves",
    "like",
    "mapped",
    "nbytes",
    "reorder",
    "select",
]

State = Any  # a NamedTuple or tuple (of such) of tensors, or None; recursive types are beyond NamedTuple's reach
S = TypeVar("S")


class EncoderDecoderState(NamedTuple):
    """What a model with an encoder carries.

    memory: what the encoder left of the source; it never changes. decoder: what the decoder carries from step to step.
    """

    memory: Any
    decoder: Any


def select(state: S, rows: Tensor | Sequence[int]) -> S:
    """Return the state of the given rows, in the given order (a row may be asked for twice). rows: (B',) integers."""
    index = torch.as_tensor(rows, dtype=torch.long)
    return mapped(lambda leaf: leaf.index_select(0, index.to(leaf.device)), state)


def reorder(state: S, rows: Tensor | Sequence[int]) -> S:
    """Return `select(state, rows)` where each row takes the place of one that has read the same source: beams do.

    What an encoder left is the same in all of them, and stays where it is. rows: (B,) integers.
    """
    if isinstance(state, EncoderDecoderState):
        return state._replace(decoder=select(state.decoder, rows))
    return select(state, rows)


def join(states: Sequence[S]) -> S:
    """Return one state that holds the rows of all `states`, in order. The inverse of `select`.

    Where leaves grow with the sequence, the shorter ones are filled up with 0, as they are in one batch.
    """
    first = states[0]
    if all(state is None for state in states):
        return first
    if any(state is None for state in states):
        raise ValueError("join: some states are None (the beginning) and some are not; begin all of them first")
    return mapped(_cat, *states)


def detach(state: S) -> S:
    """Return the state with its history forgotten: no gradient flows through it (truncated backpropagation)."""
    return mapped(Tensor.detach, state)


def hold(real: Tensor, new: S, old: S) -> S:
    """Return `new` for the rows that are real and `old` for the others. real: (B,) bool."""
    return mapped(lambda n, o: torch.where(real.view(-1, *[1] * (n.dim() - 1)), n, o), new, old)


def nbytes(state: State) -> int:
    """Return the memory that the state's tensors occupy, in bytes."""
    return sum(leaf.numel() * leaf.element_size() for leaf in leaves(state))


def leaves(state: State) -> Iterator[Tensor]:
    """Yield the tensors of a state, in order."""
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, tuple):
        for part in state:
            yield from leaves(part)
    elif state is not None:
        raise TypeError(f"a state is made of tuples and tensors, not of {type(state).__name__}")


def like(state: S, tensors: Sequence[Tensor]) -> S:
    """Return `tensors` as a state built as `state` is: the inverse of `leaves`."""
    rest = iter(tensors)
    if len(tensors) != sum(1 for _ in leaves(state)):
        raise ValueError(f"a state of {sum(1 for _ in leaves(state))} tensors is not made of {len(tensors)}")
    return mapped(lambda _: next(rest), state)


def _cat(*parts: Tensor) -> Tensor:
    most = [max(sizes) for sizes in zip(*(part.shape[1:] for part in parts), strict=True)]
    room = [
        [side for m, n in zip(reversed(most), reversed(part.shape[1:]), strict=True) for side in (0, m - n)]
        for part in parts
    ]
    return torch.cat([F.pad(part, pad) if any(pad) else part for part, pad in zip(parts, room, strict=True)], dim=0)


def mapped(change: Callable[..., Tensor], state: S, *others: S) -> S:
    """Return the state whose leaves are `change` of the leaves of `state` (and of `others`, built alike)."""
    if isinstance(state, Tensor):
        return change(state, *others)  # type: ignore[return-value]
    if isinstance(state, tuple):
        parts = [mapped(change, *group) for group in zip(state, *others, strict=True)]
        return type(state)._make(parts) if hasattr(state, "_make") else tuple(parts)  # type: ignore[return-value]
    if state is None:
        return state
    raise TypeError(f"a state is made of tuples and tensors, not of {type(state).__name__}")
