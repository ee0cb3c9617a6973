"""Traces of torch's own recurrent modules: every gate and state of a torch.nn.RNN, LSTM or GRU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from unrolled.errors import ShapeError
from unrolled.inside.kinds import named, tensors
from unrolled.inside.memory import memory
from unrolled.inside.recurrent import kind
from unrolled.inside.trace import Header, Trace, as_saved
from unrolled.inside.watch import watching
from unrolled.layers import Bidirectional, BothStates, Recurrent, Stacked, from_torch
from unrolled.state import State

__all__ = ["of_module"]


@torch.no_grad()
def of_module(module: nn.RNNBase, x: Tensor, hx: Any = None, *, sequence: int = 0) -> Trace:
    """Return every gate and state of one sequence of a call `module(x, hx)` in eval mode.

    The names are those of `names.py` without a prefix: `lstm.l0.f`, `gru.l1.reverse.z`.

    Args:
        module: a torch.nn.RNN, LSTM or GRU, or one of unrolled.nn, with any number of layers, one or two directions,
            with or without biases.
        x: the module's input, (T, B, D), (B, T, D) with batch_first, or (T, D).
        hx: its initial state, as torch takes it; None for zeros.
        sequence: the index of the sequence in the batch.

    Raises:
        ConfigError: the module is of another type, or has a proj_size. ShapeError: x or hx has the wrong shape, or the
            batch has no such sequence.
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
        raise ShapeError(f"sequence must be from 0 to {len(x) - 1}, an index in the batch: got {sequence}")
    names: dict[nn.Module, str] = named(layer)
    with watching(names) as notes:
        layer(
            x[sequence : sequence + 1],
            _state(layer, module, _each(hx, lambda state: state[:, sequence : sequence + 1])),
        )
    traced = {"inputs": x[sequence], **dict(tensors(notes, names))}
    traced |= memory(layer, traced)
    cell = next(kind(each.cell) for each in names if isinstance(each, Recurrent))
    steps = tuple(map(str, range(x.shape[1])))
    about = Header(run=type(module).__name__, model_name=cell, cell=cell, tokens=steps)
    return Trace(about, {name: as_saved(value) for name, value in traced.items()})


def _each(hx: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Apply a function to each tensor of torch's state."""
    return tuple(map(change, hx)) if isinstance(hx, tuple) else None if hx is None else change(hx)


def _state(layer: nn.Module, module: nn.RNNBase, hx: Any) -> State:
    """Convert torch's state, (layers · directions, 1, H) or a pair of them, to the state of our layer."""
    if hx is None:
        return None
    fields = hx if isinstance(hx, tuple) else (hx,)
    recurrent = [each for each in layer.modules() if isinstance(each, Recurrent)]
    shape, count = (len(recurrent), 1, module.hidden_size), len(recurrent[0].cell.State._fields)
    if any(field.shape != shape for field in fields) or len(fields) != count:
        raise ShapeError(
            f"hx must be {count} tensor(s) of shape (layers · directions, B, H) with layers · directions = "
            f"{len(recurrent)} and H = {module.hidden_size}: got shapes {[tuple(field.shape) for field in fields]}"
        )
    states = [each.cell.State(*(field[number] for field in fields)) for number, each in enumerate(recurrent)]
    return _nested(layer, iter(states))


def _nested(layer: nn.Module, states: Iterator[State]) -> State:
    """Arrange the states of the recurrent layers, in order, as the state of the whole layer."""
    if isinstance(layer, Stacked):
        return tuple(_nested(each, states) for each in layer.layers)
    if isinstance(layer, Bidirectional):
        return BothStates(_nested(layer.forward_layer, states), _nested(layer.backward_layer, states))
    return next(states)
