"""Torch's own RNN, LSTM and GRU as the twin of our plain cells: oneDNN on CPU, cuDNN on CUDA.

Our one bias becomes torch's first, its second is zero (the GRU's n third of it is bias_n), so ours → torch → ours gives
the same bits; torch → ours sums the two.

Sequences of different lengths run as one dense batch, because torch's packed sequences do not use oneDNN and are slow.
In reverse, the real steps are reversed and padding stays on the right, where it cannot affect real steps: outputs there
are set to zero, and h is taken at each sequence's last real step. The LSTM's c is not among torch's outputs, so one
more input feature marks the padding, with weights that shut the input gate and open the forget gate: c keeps its bits.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from unrolled.cells import Cell, ElmanCell, ElmanState, GRUCell, GRUState, LSTMCell, LSTMState
from unrolled.eager import is_recorded
from unrolled.errors import ConfigError
from unrolled.shapes import real
from unrolled.state import State

__all__ = ["CELLS", "copy_from_torch", "copy_to_torch", "scan"]

CELLS: dict[type[Cell[Any, Any]], frozenset[str]] = {
    ElmanCell: frozenset({"weight_x", "weight_h", "bias"}),
    LSTMCell: frozenset({"weight_x", "weight_h", "bias"}),
    GRUCell: frozenset({"weight_x", "weight_h", "bias", "bias_n"}),
}
"""The plain cells and their parameters. A cell without one of them (pruned, parametrised) is not plain."""

SHUT = 1e4  # a summand of a gate: sigmoid(−1e4) is 0 and sigmoid(1e4) is 1, exactly, in every precision


def scan(
    cell: Cell[Any, Any], x: Tensor, state: State, lengths: Tensor | None, *, reverse: bool
) -> tuple[Tensor, State]:
    """Run the cell over x (B, T, D) from `state` -> y (B, T, H) and the state after each sequence's last real step."""
    B, T = x.shape[:2]
    if T == 0 or B == 0:  # torch refuses an empty sequence
        return x.new_zeros(B, T, cell.hidden_size), state
    weights = _weights(cell)
    order = is_real = None
    if lengths is not None:
        is_real = real(lengths, T).unsqueeze(2)  # (B, T, 1)
        x = x.masked_fill(~is_real, 0)  # so that values at padding have no effect, not even a NaN
        order = _reversed_steps(lengths, T).unsqueeze(2)  # (B, T, 1)
    if reverse:
        x = x.flip(1) if order is None else x.gather(1, order.expand_as(x))
    if isinstance(cell, LSTMCell) and is_real is not None:
        x, weights[0] = _mark_padding(x, weights[0], is_real)

    h = state.h.unsqueeze(0)
    # Whether values are saved for a backward pass; a record of the call may be differentiated later.
    trains = (torch.is_grad_enabled() or is_recorded()) and any(t.requires_grad for t in (x, state.h, *weights))
    run = (weights, True, 1, 0.0, trains, False, True)  # biases, layers, dropout, train, bi, B first
    if isinstance(cell, LSTMCell):
        y, h, c = torch.lstm(x, (h, state.c.unsqueeze(0)), *run)
    elif isinstance(cell, GRUCell):
        y, h = torch.gru(x, h, *run)
    else:
        y, h = (torch.rnn_tanh if cell.nonlinearity == "tanh" else torch.rnn_relu)(x, h, *run)
    h = h.squeeze(0)

    if lengths is not None and is_real is not None:
        last = (lengths - 1).clamp(min=0).view(B, 1, 1).expand(B, 1, cell.hidden_size)
        h = torch.where(lengths.view(B, 1) > 0, y.gather(1, last).squeeze(1), state.h)
    if reverse:
        y = y.flip(1) if order is None else y.gather(1, order.expand_as(y))
    if is_real is not None:
        y = y.masked_fill(~is_real, 0)
    if isinstance(cell, LSTMCell):
        return y, LSTMState(h, c.squeeze(0))
    return y, GRUState(h) if isinstance(cell, GRUCell) else ElmanState(h)


def copy_to_torch(
    cell: Cell[Any, Any], module: torch.nn.RNNBase | torch.nn.RNNCellBase, *, layer: int = 0, reverse: bool = False
) -> None:
    """Copy the cell's weights into a cell of torch.nn, or into one layer and direction of its RNN, LSTM or GRU.

    Args:
        cell: a plain cell.
        module: a module of torch.nn, of the same kind and sizes.
        layer, reverse: the layer and direction of an RNN.

    Raises:
        ConfigError: the module has no biases, so that those of the cell would be lost.
    """
    theirs = _theirs(module, layer, reverse)
    if len(theirs) == 2:
        raise ConfigError(f"copy_to_torch: the cell has biases and {module} has none; build it with bias=True")
    with torch.no_grad():
        for weight, ours in zip(theirs, _weights(cell), strict=True):
            weight.copy_(ours)


def copy_from_torch(
    cell: Cell[Any, Any], module: torch.nn.RNNBase | torch.nn.RNNCellBase, *, layer: int = 0, reverse: bool = False
) -> None:
    """Copy the weights of a cell of torch.nn, or of one layer and direction of its RNN, LSTM or GRU, into the cell.

    The two biases of torch are summed. Args: see `copy_to_torch`.
    """
    weight_ih, weight_hh, *biases = _theirs(module, layer, reverse)
    with torch.no_grad():
        cell.get_parameter("weight_x").copy_(weight_ih)
        cell.get_parameter("weight_h").copy_(weight_hh)
        bias_ih, bias_hh = biases or [weight_ih.new_zeros(weight_ih.shape[0])] * 2
        bias = bias_ih + bias_hh
        if isinstance(cell, GRUCell):
            n = slice(2 * cell.hidden_size, None)
            bias[n] = bias_ih[n]
            cell.bias_n.copy_(bias_hh[n])
        cell.get_parameter("bias").copy_(bias)


def _theirs(module: torch.nn.RNNBase | torch.nn.RNNCellBase, layer: int, reverse: bool) -> list[Tensor]:
    """Return weight_ih, weight_hh and, if any, bias_ih, bias_hh of one layer and direction of a torch module."""
    if isinstance(module, torch.nn.RNNCellBase):
        return list(module.parameters(recurse=False))
    return list(module.all_weights[layer * (2 if module.bidirectional else 1) + reverse])


def _weights(cell: Cell[Any, Any]) -> list[Tensor]:
    """Return our weights in torch's order: weight_ih, weight_hh, bias_ih, bias_hh."""
    if not isinstance(cell, ElmanCell | LSTMCell | GRUCell):
        raise TypeError(
            f"{type(cell).__name__} has no twin in torch; use the backend that `unrolled.scan.choose` returns"
        )
    if isinstance(cell, GRUCell):
        second = torch.cat([cell.bias_n.new_zeros(2 * cell.hidden_size), cell.bias_n])
    else:
        second = torch.zeros_like(cell.bias)
    return [cell.weight_x, cell.weight_h, cell.bias, second]


def _reversed_steps(lengths: Tensor, T: int) -> Tensor:
    """Return indices (B, T) that reverse the real steps of sequences of these lengths (B,); padding stays in place."""
    t = torch.arange(T, device=lengths.device)
    back = lengths.unsqueeze(1) - 1 - t
    return torch.where(back >= 0, back, t)


def _mark_padding(x: Tensor, weight: Tensor, is_real: Tensor) -> tuple[Tensor, Tensor]:
    """Add a feature to x (B, T, D) and to the LSTM's weight (4H, D) by which c does not change at padded steps."""
    H = weight.shape[0] // 4
    hold = weight.new_zeros(4 * H, 1)
    hold[:H], hold[H : 2 * H] = -SHUT, SHUT
    return torch.cat([x, (~is_real).to(x.dtype)], dim=2), torch.cat([weight, hold], dim=1)
