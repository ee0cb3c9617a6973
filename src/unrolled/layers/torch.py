"""Conversion between the recurrent modules of torch.nn and our layers, in both directions.

torch has two biases where we have one (docs/notation.md, "One bias a gate"). From torch they are summed; to torch the
second is zero, so that ours → torch → ours gives the same bits. The layers of unrolled.nn are subclasses of torch's
with the same state_dict, so they can be converted too; `unrolled.nn.convert` makes one from a module of torch.nn.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from unrolled import machine
from unrolled.cells import Cell, ElmanCell, GRUCell, LSTMCell
from unrolled.errors import ConfigError
from unrolled.layers.dropout import Dropout
from unrolled.layers.layer import Layer
from unrolled.layers.recurrent import Bidirectional, Recurrent, Stacked
from unrolled.scan.torch import copy_from_torch, copy_to_torch

__all__ = ["from_torch", "to_torch"]


_MODULES: dict[type[Any], type[nn.RNNBase]] = {ElmanCell: nn.RNN, LSTMCell: nn.LSTM, GRUCell: nn.GRU}


def from_torch(module: nn.RNNBase) -> Layer:
    """Return the layer equivalent to a torch.nn.RNN, LSTM or GRU, with copies of its weights.

    One layer and direction becomes a Recurrent, two directions a Bidirectional, several layers a Stacked. x is
    (B, T, D) whatever the module's batch_first. Dropout between layers, device, dtype and mode are preserved.

    Raises:
        ConfigError: the module is none of these three, or has a proj_size.
    """
    kind = next((cell for cell, torch_module in _MODULES.items() if isinstance(module, torch_module)), None)
    if kind is None or module.proj_size:
        actual = f"{type(module).__name__}{' with proj_size' if kind else ''}"
        raise ConfigError(f"from_torch takes a torch.nn.RNN, LSTM or GRU without proj_size: got {actual}")
    options = {"nonlinearity": module.nonlinearity} if kind is ElmanCell else {}
    weight = module.all_weights[0][0]

    def direction(depth: int, *, reverse: bool = False) -> Recurrent:
        below = module.hidden_size * (2 if module.bidirectional else 1)
        with machine.without_values():  # no random initial values that would be overwritten
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
    """Return the batch-first torch.nn.RNN, LSTM or GRU equivalent to `layer`, with copies of its weights.

    Args:
        layer: a Recurrent, a Bidirectional or a Stacked of them, such as `run.model.layers` of a recurrent model.

    Raises:
        ConfigError: torch.nn has no equivalent: custom cells, cells of several kinds or sizes, a reverse layer alone,
            recurrent or variational dropout, zoneout.
    """
    stack: list[Any] = list(layer.layers) if isinstance(layer, Stacked) else [layer]
    directions = [
        [each.forward_layer, each.backward_layer] if isinstance(each, Bidirectional) else [each] for each in stack
    ]
    dropout = layer.dropout if isinstance(layer, Stacked) else Dropout(0.0)
    cell = _common_cell(directions, dropout)
    options: dict[str, Any] = {"nonlinearity": cell.nonlinearity} if isinstance(cell, ElmanCell) else {}
    weight = cell.get_parameter("weight_h")
    module = _MODULES[type(cell)](
        stack[0].input_size,
        cell.hidden_size,
        num_layers=len(stack),
        bidirectional=len(directions[0]) == 2,
        dropout=dropout.rate if len(stack) > 1 else 0.0,
        batch_first=True,
        dtype=weight.dtype,
        device="meta",
        **options,
    ).to_empty(device=weight.device)
    for depth, layers in enumerate(directions):
        for reverse, recurrent in enumerate(layers):
            copy_to_torch(recurrent.cell, module, layer=depth, reverse=bool(reverse))
    return module.train(layer.training)


def _common_cell(directions: list[list[Any]], dropout: Dropout) -> Cell[Any, Any]:
    """Return a cell of the kind and size that all directions of all layers share.

    Raises:
        ConfigError: see `to_torch`.
    """
    every = [recurrent for layers in directions for recurrent in layers]
    forward_first = all(
        isinstance(recurrent, Recurrent) and recurrent.reverse == bool(i)
        for layers in directions
        for i, recurrent in enumerate(layers)
    )
    if not forward_first or len({len(layers) for layers in directions}) > 1:
        raise ConfigError("to_torch takes Recurrent layers that read forward, or Bidirectional ones throughout")
    kinds = {(type(r.cell), r.cell.hidden_size, getattr(r.cell, "nonlinearity", None)) for r in every}
    cell: Cell[Any, Any] = every[0].cell
    if len(kinds) > 1 or type(cell) not in _MODULES:
        got = ", ".join(sorted({f"{type(r.cell).__name__}({r.cell.extra_repr()})" for r in every}))
        raise ConfigError(
            f"to_torch takes an ElmanCell, LSTMCell or GRUCell, of one kind and size throughout: got {got}"
        )
    if any(r.recurrent_dropout for r in every) or (dropout.variational and dropout.rate):
        raise ConfigError("to_torch: torch.nn has neither recurrent nor variational dropout; set them to 0")
    if any(r.zoneout for r in every):
        raise ConfigError("to_torch: torch.nn has no zoneout, which changes the states of answers, too")
    return cell
