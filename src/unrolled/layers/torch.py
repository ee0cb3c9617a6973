"""Weights both ways: torch.nn's recurrent modules as layers of ours, and ours as torch's.

torch has two biases where we have one (docs/notation.md, "One bias a gate"): from torch they are summed, to torch the
second is zero, so that ours → torch → ours gives the same bits. The layers of unrolled.nn are torch's own with the same
state_dict: what is said of torch.nn here holds for them, and `unrolled.nn.convert` turns a module of torch's into one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from unrolled.cells import Cell, ElmanCell, GRUCell, LSTMCell
from unrolled.errors import ConfigError
from unrolled.layers.dropout import Dropout
from unrolled.layers.layer import Layer
from unrolled.layers.recurrent import Bidirectional, Recurrent, Stacked
from unrolled.scan.torch import copy_from_torch, copy_to_torch

__all__ = ["from_torch", "to_torch"]


_THEIRS: dict[type[Any], type[nn.RNNBase]] = {ElmanCell: nn.RNN, LSTMCell: nn.LSTM, GRUCell: nn.GRU}


def from_torch(module: nn.RNNBase) -> Layer:
    """Return a layer that computes what a torch.nn.RNN, LSTM or GRU computes, with copies of its weights.

    One layer and direction becomes a Recurrent, two directions a Bidirectional, several layers a Stacked. x is
    (B, T, D), whatever the module's batch_first says. Dropout between layers, device, dtype and mode are kept.

    Raises:
        ConfigError: the module is none of these three, or has a proj_size.
    """
    kind = next((ours for ours, theirs in _THEIRS.items() if isinstance(module, theirs)), None)
    if kind is None or module.proj_size:
        what = f"{type(module).__name__}{' with proj_size' if kind else ''}"
        raise ConfigError(f"from_torch takes a torch.nn.RNN, LSTM or GRU without proj_size: got {what}")
    options = {"nonlinearity": module.nonlinearity} if kind is ElmanCell else {}
    weight = module.all_weights[0][0]

    def direction(depth: int, *, reverse: bool = False) -> Recurrent:
        below = module.hidden_size * (2 if module.bidirectional else 1)
        with torch.device("meta"):  # nothing is drawn only to be overwritten
            cell: Cell[Any, Any] = kind(below if depth else module.input_size, module.hidden_size, **options)
        cell.to(weight.dtype).to_empty(device=weight.device)
        copy_from_torch(cell, module, layer=depth, reverse=reverse)
        return Recurrent(cell, reverse=reverse)

    layers: list[Layer] = [
        Bidirectional(direction(depth), direction(depth, reverse=True)) if module.bidirectional else direction(depth)
        for depth in range(module.num_layers)
    ]
    layer = layers[0] if len(layers) == 1 else Stacked(layers, dropout=module.dropout)
    return layer.train(module.training)


def to_torch(layer: Layer) -> nn.RNNBase:
    """Return a batch-first torch.nn.RNN, LSTM or GRU that computes what `layer` computes, with copies of its weights.

    Args:
        layer: a Recurrent, a Bidirectional or a Stacked of them, such as `run.model.layers` of a recurrent row.

    Raises:
        ConfigError: no module of torch's computes this: cells of your own or of several kinds or sizes, a reverse layer
            alone, recurrent or variational dropout.
    """
    stack: list[Any] = list(layer.layers) if isinstance(layer, Stacked) else [layer]
    parts = [[p.forward_layer, p.backward_layer] if isinstance(p, Bidirectional) else [p] for p in stack]
    dropout = layer.dropout if isinstance(layer, Stacked) else Dropout(0.0)
    cell = _one_kind(parts, dropout)
    options: dict[str, Any] = {"nonlinearity": cell.nonlinearity} if isinstance(cell, ElmanCell) else {}
    weight = cell.get_parameter("weight_h")
    module = _THEIRS[type(cell)](
        stack[0].input_size,
        cell.hidden_size,
        num_layers=len(stack),
        bidirectional=len(parts[0]) == 2,
        dropout=dropout.rate if len(stack) > 1 else 0.0,
        batch_first=True,
        dtype=weight.dtype,
        device="meta",
        **options,
    ).to_empty(device=weight.device)
    for depth, part in enumerate(parts):
        for reverse, recurrent in enumerate(part):
            copy_to_torch(recurrent.cell, module, layer=depth, reverse=bool(reverse))
    return module.train(layer.training)


def _one_kind(parts: list[list[Any]], dropout: Dropout) -> Cell[Any, Any]:
    """The cell that all directions of all layers rate in kind and size, if torch's modules compute these layers."""
    every = [recurrent for part in parts for recurrent in part]
    forward_first = all(
        isinstance(recurrent, Recurrent) and recurrent.reverse == bool(i)
        for part in parts
        for i, recurrent in enumerate(part)
    )
    if not forward_first or len({len(part) for part in parts}) > 1:
        raise ConfigError("to_torch takes Recurrent layers that read forward, or Bidirectional ones throughout")
    kinds = {(type(r.cell), r.cell.hidden_size, getattr(r.cell, "nonlinearity", None)) for r in every}
    cell: Cell[Any, Any] = every[0].cell
    if len(kinds) > 1 or type(cell) not in _THEIRS:
        got = ", ".join(sorted({f"{type(r.cell).__name__}({r.cell.extra_repr()})" for r in every}))
        raise ConfigError(
            f"to_torch takes an ElmanCell, LSTMCell or GRUCell, of one kind and size throughout: got {got}"
        )
    if any(r.recurrent_dropout for r in every) or (dropout.variational and dropout.rate):
        raise ConfigError("to_torch: torch's modules have neither recurrent nor variational dropout; set them to 0")
    return cell
