"""Cells: the maths of one time step, equations first. One file a cell."""

from unrolled.cells.cell import Cell
from unrolled.cells.elman import ElmanCell, ElmanGates, ElmanState
from unrolled.cells.gru import GRUCell, GRUGates, GRUState
from unrolled.cells.lstm import LSTMCell, LSTMGates, LSTMState

__all__ = [
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
]
