"""Cells: the mathematics of one time step, one file for each cell."""

from typing import Any

from unrolled.cells.cell import Cell
from unrolled.cells.elman import ElmanCell, ElmanGates, ElmanState
from unrolled.cells.gated_deltanet import GatedDeltaNetCell
from unrolled.cells.gru import GRUCell, GRUGates, GRUState
from unrolled.cells.layernorm_gru import LayerNormGRUCell
from unrolled.cells.layernorm_lstm import LayerNormLSTMCell
from unrolled.cells.linear_attention import LinearAttentionCell
from unrolled.cells.lstm import LSTMCell, LSTMGates, LSTMState
from unrolled.cells.mamba2 import Mamba2Cell
from unrolled.cells.mingru import MinGRUCell
from unrolled.cells.minlstm import MinLSTMCell
from unrolled.cells.mlstm import MLSTMCell
from unrolled.cells.slstm import SLSTMCell

__all__ = [
    "CELLS",
    "OWN",
    "Cell",
    "ElmanCell",
    "ElmanGates",
    "ElmanState",
    "GRUCell",
    "GRUGates",
    "GRUState",
    "GatedDeltaNetCell",
    "LSTMCell",
    "LSTMGates",
    "LSTMState",
    "LayerNormGRUCell",
    "LayerNormLSTMCell",
    "LinearAttentionCell",
    "MLSTMCell",
    "Mamba2Cell",
    "MinGRUCell",
    "MinLSTMCell",
    "SLSTMCell",
]

CELLS: dict[str, type[Cell[Any, Any]]] = {
    cell.name: cell
    for cell in (
        ElmanCell,
        LSTMCell,
        LayerNormLSTMCell,
        GRUCell,
        LayerNormGRUCell,
        LinearAttentionCell,
        MinGRUCell,
        MinLSTMCell,
        MLSTMCell,
        SLSTMCell,
        Mamba2Cell,
        GatedDeltaNetCell,
    )
}
"""Every cell by its name. `lineage.py` has the models that use it."""
OWN: dict[str, type[Cell[Any, Any]]] = {}
"""Cells of users by their names, see `unrolled.use_cell`."""
