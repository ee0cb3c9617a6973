"""The cells as ONNX's operators: the equations of a step, and the operator that repeats it, where one means the same.

The equations are those of the files in `cells/`, in the same letters. ONNX packs the gates of an LSTM as i, o, f, c and
those of a GRU as z, r, h, and adds two biases; ours go into the first one (of n, the inner one is bias_n).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unrolled.cells import (
    Cell,
    ElmanCell,
    GRUCell,
    LayerNormGRUCell,
    LayerNormLSTMCell,
    LSTMCell,
)
from unrolled.interchange.onnx.graph import Graph, Value
from unrolled.state import State

__all__ = ["CELLS", "CellEmitter", "Operator"]


class Operator(NamedTuple):
    """One of ONNX's recurrent operators with the weights of a cell.

    Args:
        kind: "LSTM", "GRU" or "RNN".
        weight_x, weight_h: (G·H, D) and (G·H, H) in ONNX's order of the gates.
        bias: (2·G·H,), those of W_x and those of W_h.
        attributes: attributes of the operator.
    """

    kind: str
    weight_x: Tensor
    weight_h: Tensor
    bias: Tensor
    attributes: dict[str, Any]


class CellEmitter(NamedTuple):
    """A cell as operators.

    Args:
        project: (graph, cell, x) -> x_gates; `Cell.project`.
        step: (graph, cell, x_gates, state) -> the next state; `Cell.gates` and `Cell.advance`.
        operator: cell -> ONNX's operator for all steps; None: there is none that means the same.
    """

    project: Callable[[Graph, Any, Value], Value]
    step: Callable[[Graph, Any, Value, Any], Any]
    operator: Callable[[Any], Operator] | None = None


def _affine(graph: Graph, cell: Cell[Any, Any], x: Value) -> Value:
    """W_x x + b."""
    return x @ graph.weight(cell, "weight_x.T", cell.get_parameter("weight_x").T) + graph.weight(cell, "bias")


def _recurrent(graph: Graph, cell: Cell[Any, Any], h: Value) -> Value:
    """W_h h."""
    return h @ graph.weight(cell, "weight_h.T", cell.get_parameter("weight_h").T)


def _elman(graph: Graph, cell: Any, x_gates: Value, state: State) -> State:
    a = x_gates + _recurrent(graph, cell, state.h)
    return cell.State(a.tanh() if cell.nonlinearity == "tanh" else graph.op("Relu", a))


def _elman_operator(cell: ElmanCell) -> Operator:
    bias = torch.cat([cell.bias, torch.zeros_like(cell.bias)])
    return Operator("RNN", cell.weight_x, cell.weight_h, bias, {"activations": [cell.nonlinearity.capitalize()]})


def _lstm(graph: Graph, cell: Any, x_gates: Value, state: State) -> State:
    i, f, g, o = (x_gates + _recurrent(graph, cell, state.h)).split(-1, [cell.hidden_size] * 4)
    c = f.sigmoid() * state.c + i.sigmoid() * g.tanh()
    return cell.State(o.sigmoid() * c.tanh(), c)


def _lstm_operator(cell: LSTMCell) -> Operator:
    bias = _ordered(cell.bias, 0, 3, 1, 2)
    weight_x, weight_h = (_ordered(weight, 0, 3, 1, 2) for weight in (cell.weight_x, cell.weight_h))
    return Operator("LSTM", weight_x, weight_h, torch.cat([bias, torch.zeros_like(bias)]), {})


def _gru_state(cell: Cell[Any, Any], x_gates: Value, h_gates: Value, bias_n: Value, h: Value) -> State:
    """Return the state after the products with W_x and W_h."""
    x_r, x_z, x_n = x_gates.split(-1, [cell.hidden_size] * 3)
    h_r, h_z, h_n = h_gates.split(-1, [cell.hidden_size] * 3)
    r, z = (x_r + h_r).sigmoid(), (x_z + h_z).sigmoid()
    n = (x_n + r * (h_n + bias_n)).tanh()
    return cell.State((1.0 - z) * n + z * h)


def _gru(graph: Graph, cell: GRUCell, x_gates: Value, state: State) -> State:
    return _gru_state(cell, x_gates, _recurrent(graph, cell, state.h), graph.weight(cell, "bias_n"), state.h)


def _gru_operator(cell: GRUCell) -> Operator:
    weight_x, weight_h = (_ordered(weight, 1, 0, 2) for weight in (cell.weight_x, cell.weight_h))
    inner = torch.cat([cell.bias.new_zeros(2 * cell.hidden_size), cell.bias_n])
    bias = torch.cat([_ordered(cell.bias, 1, 0, 2), inner])
    return Operator("GRU", weight_x, weight_h, bias, {"linear_before_reset": 1})


def _ordered(weight: Tensor, *order: int) -> Tensor:
    """Return the gates of a packed weight (G·H, …) in another order."""
    gates = weight.chunk(len(order))
    return torch.cat([gates[k] for k in order])


def _norm(graph: Graph, x: Value, gain: Value, bias: Value | NDArray[np.float32]) -> Value:
    """LN(x; γ, β) over the last axis; where there is no β it is 0, since onnxruntime's fusions fail without one."""
    return graph.op("LayerNormalization", x, gain, bias, axis=-1, epsilon=1e-5)


def _zeros(size: int) -> NDArray[np.float32]:
    return np.zeros(size, dtype=np.float32)


def _normed_lstm_project(graph: Graph, cell: LayerNormLSTMCell, x: Value) -> Value:
    product = x @ graph.weight(cell, "weight_x.T", cell.weight_x.T)
    return _norm(graph, product, graph.weight(cell, "gain_x"), graph.weight(cell, "bias"))


def _normed_lstm(graph: Graph, cell: Any, x_gates: Value, state: State) -> State:
    H = cell.hidden_size
    from_h = _norm(graph, _recurrent(graph, cell, state.h), graph.weight(cell, "gain_h"), _zeros(4 * H))
    i, f, g, o = (x_gates + from_h).split(-1, [H] * 4)
    c = f.sigmoid() * state.c + i.sigmoid() * g.tanh()
    read = _norm(graph, c, graph.weight(cell, "gain_c"), graph.weight(cell, "bias_c"))
    return cell.State(o.sigmoid() * read.tanh(), c)


def _normed_gru_sums(graph: Graph, cell: LayerNormGRUCell, sums: Value, name: str) -> Value:
    """Normalise (…, 3H) with the gain of a name: the 2H numbers of both gates together, then the H of the candidate."""
    H = cell.hidden_size
    parts = zip(
        ("gates", "n"), sums.split(-1, [2 * H, H]), torch.split(cell.get_parameter(name), [2 * H, H]), strict=True
    )
    normed = [_norm(graph, x, graph.weight(cell, f"{name}.{part}", gain), _zeros(len(gain))) for part, x, gain in parts]
    return graph.concat(normed, axis=-1)


def _normed_gru_project(graph: Graph, cell: LayerNormGRUCell, x: Value) -> Value:
    product = x @ graph.weight(cell, "weight_x.T", cell.weight_x.T)
    return _normed_gru_sums(graph, cell, product, "gain_x") + graph.weight(cell, "bias")


def _normed_gru(graph: Graph, cell: LayerNormGRUCell, x_gates: Value, state: State) -> State:
    h_gates = _normed_gru_sums(graph, cell, _recurrent(graph, cell, state.h), "gain_h")
    return _gru_state(cell, x_gates, h_gates, graph.weight(cell, "bias_n"), state.h)


CELLS: dict[type[Cell[Any, Any]], CellEmitter] = {
    ElmanCell: CellEmitter(_affine, _elman, _elman_operator),
    LSTMCell: CellEmitter(_affine, _lstm, _lstm_operator),
    LayerNormLSTMCell: CellEmitter(_normed_lstm_project, _normed_lstm),
    GRUCell: CellEmitter(_affine, _gru, _gru_operator),
    LayerNormGRUCell: CellEmitter(_normed_gru_project, _normed_gru),
}
