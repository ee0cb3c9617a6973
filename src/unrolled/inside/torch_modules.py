"""Traces of torch's own recurrent layers, alone or in a model: every gate and state of a torch.nn.RNN, LSTM or GRU."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from unrolled.errors import ConfigError, ShapeError
from unrolled.inside.kinds import named, tensors
from unrolled.inside.memory import memory
from unrolled.inside.recurrent import kind
from unrolled.inside.trace import Header, Trace, as_saved
from unrolled.inside.watch import watching
from unrolled.layers import Bidirectional, BothStates, Recurrent, Stacked, from_torch
from unrolled.state import State

__all__ = ["of_module"]


@torch.no_grad()
def of_module(module: nn.Module, x: Any, hx: Any = None, *, sequence: int = 0) -> Trace:
    """Return every gate and state of one sequence of a call `module(x, hx)` in eval mode.

    The names of a single layer are those of `names.py` without a prefix: `lstm.l0.f`, `gru.l1.reverse.z`. Those of a
    model begin with the path of each layer in it: `encoder.rnn.lstm.l0.f`. A layer that is called several times has the
    number of the call behind its path, from the second on: `encoder.rnn.call2.lstm.l0.f`.

    Args:
        module: a torch.nn.RNN, LSTM or GRU, or one of unrolled.nn, with any number of layers, one or two directions,
            with or without biases; or a model that contains some of them.
        x: the module's input; of a layer (T, B, D), (B, T, D) with batch_first, or (T, D).
        hx: its initial state, as torch takes it; None for zeros. Of a model: a second argument, if it is not None.
        sequence: the index of the sequence in the batch.

    Raises:
        ConfigError: the module is no such layer and calls none, or a layer has a proj_size.
        ShapeError: x or hx has the wrong shape, or the batch has no such sequence.
    """
    if isinstance(module, nn.RNNBase):
        return _trace(type(module).__name__, {"": _Call(module, x, hx)}, sequence)
    calls = _calls(module, (x,) if hx is None else (x, hx))
    if not calls:
        raise ConfigError(
            f"{type(module).__name__} calls no torch.nn.RNN, LSTM or GRU: a trace shows their gates and states; "
            "`unrolled explain` shows those of a run"
        )
    return _trace(type(module).__name__, calls, sequence)


class _Call(NamedTuple):
    """A call of a recurrent layer: the layer, its input and its initial state."""

    layer: nn.RNNBase
    x: Any
    hx: Any


def _calls(model: nn.Module, arguments: tuple[Any, ...]) -> dict[str, _Call]:
    """Call the model in eval mode and return the calls of its recurrent layers, by prefix of their names."""
    calls: dict[str, _Call] = {}
    counts: Counter[str] = Counter()

    def observer(path: str) -> Callable[..., None]:
        def observe(layer: nn.RNNBase, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            counts[path] += 1
            given = dict(zip(("input", "hx"), args, strict=False)) | kwargs
            prefix = f"{path}." if counts[path] == 1 else f"{path}.call{counts[path]}."
            calls[prefix] = _Call(layer, given["input"], given.get("hx"))

        return observe

    modes = {each: each.training for each in model.modules()}
    layers = [(path, each) for path, each in model.named_modules() if isinstance(each, nn.RNNBase)]
    hooks = [each.register_forward_pre_hook(observer(path), with_kwargs=True) for path, each in layers]
    try:
        model.eval()
        model(*arguments)
    finally:
        for hook in hooks:
            hook.remove()
        for each, training in modes.items():
            each.training = training
    return calls


def _trace(name: str, calls: Mapping[str, _Call], sequence: int) -> Trace:
    """Return the tensors of all calls as one trace."""
    traced: dict[str, Tensor] = {}
    headers = []
    for prefix, call in calls.items():
        cell, tensors = _of_layer(*call, sequence)
        headers.append((cell, tensors["inputs"]))
        traced |= {f"{prefix}{each}": as_saved(value) for each, value in tensors.items()}
    cell, inputs = headers[0]
    about = Header(run=name, model_name=cell, cell=cell, tokens=tuple(map(str, range(len(inputs)))))
    return Trace(about, traced)


def _of_layer(module: nn.RNNBase, x: Any, hx: Any, sequence: int) -> tuple[str, dict[str, Tensor]]:
    """Return the name of a layer's cell, and the tensors of one sequence of a call, by name."""
    layer = from_torch(module).eval()
    end = None  # of the sequence
    if isinstance(x, PackedSequence):
        x, lengths = pad_packed_sequence(x, batch_first=module.batch_first)
        end = int(lengths[sequence]) if 0 <= sequence < len(lengths) else None
    if not isinstance(x, Tensor) or x.dim() not in (2, 3) or x.shape[-1] != module.input_size:
        got = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise ShapeError(f"x must have shape (T, B, D), (B, T, D) or (T, D) with D={module.input_size}: got {got}")
    if x.dim() == 2:
        x, hx = x.unsqueeze(0), _each(hx, lambda state: state.unsqueeze(1))
    elif not module.batch_first:
        x = x.transpose(0, 1)
    if not 0 <= sequence < len(x):
        raise ShapeError(f"sequence must be from 0 to {len(x) - 1}, an index in the batch: got {sequence}")
    x, names = x[sequence : sequence + 1, :end], named(layer)
    with watching(names) as notes:
        layer(x, _state(layer, module, _each(hx, lambda state: state[:, sequence : sequence + 1])))
    traced = {"inputs": x[0], **dict(tensors(notes, names))}
    cell = next(kind(each.cell) for each in names if isinstance(each, Recurrent))
    return cell, traced | memory(layer, traced)


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
