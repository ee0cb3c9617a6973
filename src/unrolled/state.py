"""State of a module between calls, as a value, and functions for states of any structure.

A state is a NamedTuple or tuple (of such) of tensors, batch first in every leaf. `None` stands for the start of a
sequence, `()` is the state of a module without memory. A state is passed in and returned, never stored on a module and
never written after it was returned, so that two continuations of one state cannot disturb each other. Only its owner
can end its life early: a state passed as `spare` to `select` or `reorder` gives its memory to the result.
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
    """State of a model with an encoder.

    Args:
        memory: the encoded source, which never changes.
        decoder: the state of the decoder.
    """

    memory: Any
    decoder: Any


def select(state: S, indices: Tensor | Sequence[int], *, spare: State = None) -> S:
    """Return the state of the sequences at `indices`, (B',) integers, in that order; an index may be repeated.

    A state that has a better way than a copy of each leaf defines `selected(index, spare)`.

    Args:
        state: the state.
        indices: integers (B',).
        spare: a state that `select` has returned and that nobody reads any more: its memory may be used again.
    """
    return _selected(state, torch.as_tensor(indices, dtype=torch.long), spare)


def _selected(state: S, index: Tensor, spare: State) -> S:
    own = getattr(state, "selected", None)
    if own is not None:
        return own(index, spare)  # type: ignore[no-any-return]
    if not isinstance(state, tuple):
        return mapped(lambda leaf: leaf.index_select(0, index.to(leaf.device)), state)
    spares = spare if isinstance(spare, tuple) and len(spare) == len(state) else (None,) * len(state)
    fields = [_selected(field, index, each) for field, each in zip(state, spares, strict=True)]
    return type(state)._make(fields) if hasattr(state, "_make") else tuple(fields)  # type: ignore[return-value]


def reorder(state: S, indices: Tensor | Sequence[int], *, spare: State = None) -> S:
    """Return `select(state, indices)` for hypotheses that replace others of the same source, as in beam search.

    The memory of an encoder is equal for all hypotheses of a source and is not copied.

    Args:
        state: the state.
        indices: integers (B,).
        spare: see `select`; a state that `reorder` has returned.
    """
    if isinstance(state, EncoderDecoderState):
        decoder = spare.decoder if isinstance(spare, EncoderDecoderState) else None
        return state._replace(decoder=select(state.decoder, indices, spare=decoder))
    return select(state, indices, spare=spare)


def join(states: Sequence[S]) -> S:
    """Return one state that holds the sequences of all `states`, in order: the inverse of `select`.

    Leaves whose size grows with the sequence are padded with 0 to the largest, as in one batch.

    Raises:
        ValueError: some of the states are None and some are not.
    """
    first = states[0]
    if all(state is None for state in states):
        return first
    if any(state is None for state in states):
        raise ValueError("join: some states are None (the start of a sequence) and some are not; pass none or all")
    return mapped(_cat, *states)


def detach(state: S) -> S:
    """Return the state detached from the graph, for truncated backpropagation."""
    return mapped(Tensor.detach, state)


def hold(real: Tensor, new: S, old: S) -> S:
    """Return `new` for the sequences whose step is real and `old` for the others.

    Args:
        real: (B,) bool.
    """
    return mapped(lambda n, o: torch.where(real.view(-1, *[1] * (n.dim() - 1)), n, o), new, old)


def nbytes(state: State) -> int:
    """Return the size of the state's tensors in bytes."""
    return sum(leaf.numel() * leaf.element_size() for leaf in leaves(state))


def leaves(state: State) -> Iterator[Tensor]:
    """Yield the tensors of a state, in order.

    Raises:
        TypeError: the state has a leaf that is not a tensor.
    """
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, tuple):
        for field in state:
            yield from leaves(field)
    elif state is not None:
        raise TypeError(f"a state must consist of tuples and tensors: got {type(state).__name__}")


def like(state: S, tensors: Sequence[Tensor]) -> S:
    """Return `tensors` as a state with the structure of `state`: the inverse of `leaves`.

    Raises:
        ValueError: the number of tensors is not that of the state.
    """
    rest = iter(tensors)
    count = sum(1 for _ in leaves(state))
    if len(tensors) != count:
        raise ValueError(f"a state of this structure has {count} tensors: got {len(tensors)}")
    return mapped(lambda _: next(rest), state)


def _cat(*tensors: Tensor) -> Tensor:
    """Concatenate tensors along the batch, padded with 0 to the largest size of every other axis."""
    largest = [max(sizes) for sizes in zip(*(tensor.shape[1:] for tensor in tensors), strict=True)]
    pads = [
        [side for m, n in zip(reversed(largest), reversed(tensor.shape[1:]), strict=True) for side in (0, m - n)]
        for tensor in tensors
    ]
    return torch.cat([F.pad(t, pad) if any(pad) else t for t, pad in zip(tensors, pads, strict=True)], dim=0)


def mapped(change: Callable[..., Tensor], state: S, *others: S) -> S:
    """Apply a function to corresponding leaves of states of one structure."""
    if isinstance(state, Tensor):
        return change(state, *others)  # type: ignore[return-value]
    if isinstance(state, tuple):
        fields = [mapped(change, *group) for group in zip(state, *others, strict=True)]
        return type(state)._make(fields) if hasattr(state, "_make") else tuple(fields)  # type: ignore[return-value]
    if state is None and any(other is not None for other in others):
        raise ValueError("one of the states begins with None (nothing was read) where another has tensors")
    if state is None:
        return state
    raise TypeError(f"a state must consist of tuples and tensors: got {type(state).__name__}")
