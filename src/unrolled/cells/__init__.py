"""Cells: the mathematics of one time step, one file for each cell."""

from typing import Any

from unrolled.cells.cell import Cell
from unrolled.cells.elman import ElmanCell, ElmanGates, ElmanState
from unrolled.cells.gru import GRUCell, GRUGates, GRUState
from unrolled.cells.layernorm_gru import LayerNormGRUCell
from unrolled.cells.layernorm_lstm import LayerNormLSTMCell
from unrolled.cells.lstm import LSTMCell, LSTMGates, LSTMState

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
    "LSTMCell",
    "LSTMGates",
    "LSTMState",
    "LayerNormGRUCell",
    "LayerNormLSTMCell",
]

CELLS: dict[str, type[Cell[Any, Any]]] = {
    cell.name: cell for cell in (ElmanCell, LSTMCell, LayerNormLSTMCell, GRUCell, LayerNormGRUCell)
}
"""Every cell by its name. `lineage.py` has the models that use it."""
OWN: dict[str, type[Cell[Any, Any]]] = {}
"""Cells of users by their names, see `unrolled.use_cell`."""
