"""Recurrent layers: a cell over time, two of them in opposite directions, and stacks of layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from unrolled.cells import Cell
from unrolled.errors import ConfigError
from unrolled.layers.dropout import Dropout, keep_mask
from unrolled.layers.layer import Layer
from unrolled.scan import Zoneout, scan
from unrolled.state import State

__all__ = ["Bidirectional", "BothStates", "Recurrent", "Stacked", "set_backend"]


class Recurrent(Layer):
    """A cell over time.

    Args:
        cell: the maths of one step, one of ours or your own.
        reverse: read each sequence from its last real step to its first.
        recurrent_dropout: fraction of the state that is dropped on its way back into the gates in training, with one
            mask for all steps of a call (Gal & Ghahramani 2016).
        zoneout: probability that a unit of the state keeps its previous value at a step, see unrolled.scan.zoneout.
        backend: the backend of the scan, see unrolled.scan.

    State: the cell's.

    Raises:
        ConfigError: recurrent dropout of a cell that feeds nothing back into its gates, or a zoneout outside [0, 1).
    """

    def __init__(
        self,
        cell: Cell[Any, Any],
        *,
        reverse: bool = False,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        backend: str = "auto",
    ) -> None:
        super().__init__(cell.input_size, cell.output_size, causal=not reverse)
        if recurrent_dropout and not cell.masked:
            raise ConfigError(f"{type(cell).__name__} feeds nothing back into its gates: remove recurrent_dropout")
        if not 0 <= zoneout < 1:
            raise ConfigError(f"zoneout must be at least 0 and below 1: got {zoneout}")
        self.cell, self.reverse, self.backend = cell, reverse, backend
        self.recurrent_dropout, self.zoneout = recurrent_dropout, zoneout

    def forward(self, x: Tensor, state: State = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """(B, T, D) -> (B, T, output_size)."""
        return self.run(x, state, lengths, self.mask(x))

    def mask(self, x: Tensor) -> Tensor | None:
        """Draw the recurrent dropout mask of one call, (B, H), or None."""
        if not self.training or self.recurrent_dropout == 0:
            return None
        return keep_mask(x, (x.shape[0], self.cell.hidden_size), self.recurrent_dropout)

    def run(self, x: Tensor, state: State, lengths: Tensor | None, mask: Tensor | None) -> tuple[Tensor, State]:
        """Run the scan with an existing mask, for callers that loop over the steps."""
        return scan(
            self.cell,
            x,
            state,
            lengths,
            reverse=self.reverse,
            mask=mask,
            zoneout=self.scan_zoneout,
            backend=self.backend,
        )

    @property
    def scan_zoneout(self) -> Zoneout | None:
        """The zoneout of a call in the present mode; None without one."""
        return Zoneout(self.zoneout, self.training) if self.zoneout else None

    def summary(self, state: State) -> Tensor:
        """Return the cell's output at the final state, (B, output_size)."""
        return self.cell.output(state)

    def extra_repr(self) -> str:
        """Options, for repr()."""
        return (
            f"reverse={self.reverse}, recurrent_dropout={self.recurrent_dropout}, zoneout={self.zoneout}, "
            f"backend={self.backend!r}"
        )


class BothStates(NamedTuple):
    """The states of the two directions of a bidirectional layer."""

    forward: Any
    backward: Any


class Bidirectional(Layer):
    """Two recurrent layers in opposite directions; y and the summary are the outputs of both, concatenated.

    Args:
        forward_layer, backward_layer: two Recurrent of equal input size, the second with reverse=True.
    """

    def __init__(self, forward_layer: Recurrent, backward_layer: Recurrent) -> None:
        super().__init__(forward_layer.input_size, forward_layer.output_size + backward_layer.output_size, causal=False)
        self.forward_layer, self.backward_layer = forward_layer, backward_layer

    def forward(self, x: Tensor, state: State = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """(B, T, D) -> (B, T, 2H)."""
        before = BothStates(None, None) if state is None else state
        y_forward, after_forward = self.forward_layer(x, before.forward, lengths)
        y_backward, after_backward = self.backward_layer(x, before.backward, lengths)
        return torch.cat([y_forward, y_backward], dim=2), BothStates(after_forward, after_backward)

    def summary(self, state: State) -> Tensor:
        """Return both final outputs, the forward one after the last step, the backward one after the first: (B, 2H)."""
        return torch.cat(
            [self.forward_layer.summary(state.forward), self.backward_layer.summary(state.backward)], dim=1
        )


class Stacked(Layer):
    """A stack of layers, with dropout between them.

    Args:
        layers: each takes the outputs of the one below.
        dropout, variational: see Dropout; not after the last layer.

    State: a tuple with one state a layer.
    """

    def __init__(self, layers: Sequence[Layer], *, dropout: float = 0.0, variational: bool = False) -> None:
        super().__init__(layers[0].input_size, layers[-1].output_size, causal=all(layer.causal for layer in layers))
        self.layers = nn.ModuleList(layers)
        self.dropout = Dropout(dropout, variational=variational)

    def forward(self, x: Tensor, state: State = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """(B, T, D) -> (B, T, output_size)."""
        states = [None] * len(self.layers) if state is None else state
        y, lowest = self.layers[0](x, states[0], lengths)
        y, others = self.above(y, states[1:], lengths)
        return y, (lowest, *others)

    @property
    def cells(self) -> list[Cell[Any, Any]]:
        """The cells of the recurrent layers, from the lowest to the highest, of both directions."""
        return [layer.cell for layer in self.layers.modules() if isinstance(layer, Recurrent)]

    def above(self, y: Tensor, states: Sequence[State], lengths: Tensor | None) -> tuple[Tensor, tuple[State, ...]]:
        """Run all layers but the lowest on its outputs y -> the outputs of the highest, and their states."""
        after = []
        for layer, state in zip(list(self.layers)[1:], states, strict=True):
            y, state = layer(self.dropout(y), state, lengths)
            after.append(state)
        return y, tuple(after)

    def summary(self, state: State) -> Tensor:
        """Return the summary of the highest layer."""
        top = self.layers[-1]
        assert isinstance(top, Layer)
        return top.summary(state[-1])


def set_backend(module: nn.Module, backend: str) -> int:
    """Set the backend of every recurrent layer inside `module` and return their number."""
    layers = [layer for layer in module.modules() if isinstance(layer, Recurrent)]
    for layer in layers:
        layer.backend = backend
    return len(layers)
