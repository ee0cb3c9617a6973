"""The trace of torch's own recurrent modules: every gate and state of a torch.nn.RNN, LSTM or GRU, trained anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from unrolled.errors import ShapeError
from unrolled.inside.kinds import named, tensors
from unrolled.inside.memory import memory
from unrolled.inside.recurrent import kind
from unrolled.inside.trace import Header, Trace, kept
from unrolled.inside.watch import watching
from unrolled.layers import Bidirectional, BothStates, Recurrent, Stacked, from_torch
from unrolled.state import State

__all__ = ["of_module"]


@torch.no_grad()
def of_module(module: nn.RNNBase, x: Tensor, hx: Any = None, *, sequence: int = 0) -> Trace:
    """Return every gate and state of one sequence of a call `module(x, hx)`, as in eval mode.

    A torch.nn.RNN, LSTM or GRU, or one of unrolled.nn; of any number of layers, in one direction or both, with biases
    or without, in the names of `names.py` without a prefix: `lstm.l0.f`, `gru.l1.reverse.z`.

    Args:
        x: as the module takes it, (T, B, D), (B, T, D) where it is batch_first, or (T, D).
        hx: its first state, or None: zeros.
        sequence: the index of the sequence in the batch.

    Raises:
        ConfigError: the module is another, or has a proj_size. ShapeError: x or hx of another shape, or no such sequence.
    """
    layer = from_torch(module).eval()
    if not isinstance(x, Tensor) or x.dim() not in (2, 3) or x.shape[-1] != module.input_size:
        got = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise ShapeError(f"x must have shape (T, B, D), (B, T, D) or (T, D) with D={module.input_size}: got {got}")
    if x.dim() == 2:
        x, hx = x.unsqueeze(0), _each(hx, lambda state: state.unsqueeze(1))
    elif not module.batch_first:
        x = x.transpose(0, 1)
    if not 0 <= sequence < len(x):
        raise ShapeError(f"sequence must be below the batch size, {len(x)}: got {sequence}")
    names: dict[nn.Module, str] = named(layer)
    with watching(names) as notes:
        layer(
            x[sequence : sequence + 1],
            _state(layer, module, _each(hx, lambda state: state[:, sequence : sequence + 1])),
        )
    found = {"inputs": x[sequence], **dict(tensors(notes, names))}
    found |= memory(layer, found)
    cell = next(kind(part.cell) for part in names if isinstance(part, Recurrent))
    steps = tuple(map(str, range(x.shape[1])))
    about = Header(run=type(module).__name__, model_name=cell, cell=cell, tokens=steps)
    return Trace(about, {name: kept(value) for name, value in found.items()})


def _each(hx: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """A state of torch's, with each of its tensors changed."""
    return tuple(map(change, hx)) if isinstance(hx, tuple) else None if hx is None else change(hx)


def _state(layer: nn.Module, module: nn.RNNBase, hx: Any) -> State:
    """torch's (layers · directions, 1, H), or a pair of them, as the state of our layer."""
    if hx is None:
        return None
    fields = hx if isinstance(hx, tuple) else (hx,)
    parts = [part for part in layer.modules() if isinstance(part, Recurrent)]
    shape = (len(parts), 1, module.hidden_size)
    if any(field.shape != shape for field in fields) or len(fields) != len(parts[0].cell.State._fields):
        raise ShapeError(
            f"hx must have shape (layers · directions, B, H) with {len(parts)} and H={module.hidden_size}, "
            f"{len(parts[0].cell.State._fields)} of them: got {[tuple(field.shape) for field in fields]}"
        )
    states = [part.cell.State(*(field[number] for field in fields)) for number, part in enumerate(parts)]
    return _nested(layer, iter(states))


def _nested(layer: nn.Module, states: Iterator[State]) -> State:
    """The states of the recurrent layers, in their order, as the layer carries them."""
    if isinstance(layer, Stacked):
        return tuple(_nested(each, states) for each in layer.layers)
    if isinstance(layer, Bidirectional):
        return BothStates(_nested(layer.forward_layer, states), _nested(layer.backward_layer, states))
    return next(states)
