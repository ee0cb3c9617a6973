"""The recurrent layers of a trace, and their units with the largest variation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from unrolled.cells import CELLS, Cell
from unrolled.errors import ConfigError, nearest
from unrolled.inside import Trace
from unrolled.pictures.figure import Request

__all__ = ["TENSORS", "Layer", "most_varied", "recurrent", "requested_layer", "strongest"]


def _drawn(cell: type[Cell[Any, Any]]) -> tuple[str, ...]:
    """Return the tensors of a layer over time: the last leaf of the state first, then the gate that keeps it."""
    memory, *others = reversed(cell.State._fields)
    gates = sorted(cell.gate_meanings, key=lambda gate: gate != cell.keeps)
    return (memory, *(name for name in (*gates, *others) if " " not in cell.axes.get(name, "H")))


TENSORS = {name: _drawn(cell) for name, cell in CELLS.items()}
"""The tensors of a recurrent layer that are drawn over time, by cell; its memory first."""


class Layer(NamedTuple):
    """A recurrent layer of a trace.

    name: the prefix of its tensors, such as "decoder.lstm.l0". cell: its kind, such as "lstm". part: "encoder",
    "decoder" or "". tokens: the inputs of its steps.
    """

    name: str
    cell: str
    part: str
    tokens: tuple[str, ...]

    @property
    def remembers(self) -> str:
        """The name of the tensor of its memory, the last leaf of the state."""
        return f"{self.name}.{TENSORS[self.cell][0]}"


def recurrent(trace: Trace) -> list[Layer]:
    """Return the recurrent layers, in the order of the trace."""
    layers = []
    for name in trace:
        match = re.fullmatch(rf"((?:(encoder|decoder)\.)?({'|'.join(CELLS)})\.l\d+(?:\.reverse)?)\.(\w+)", name)
        if match and match[4] == CELLS[match[3]].emits:
            layer, part, cell, _ = match.groups()
            about = trace.about
            tokens = about.source if part == "encoder" else about.tokens
            steps = len(trace[name])
            layers.append(Layer(layer, cell, part or "", (*tokens[:steps], *[""] * (steps - len(tokens)))))
    return layers


def requested_layer(trace: Trace, request: Request) -> Layer:
    """Return the layer named in the request; without a name the highest (of the decoder, if any) or one below it.

    Raises:
        ConfigError: there is no layer of this name; the message has the names of all layers.
    """
    layers = recurrent(trace)
    if request.layer is None:
        return layers[-1 - request.below]
    names = [layer.name for layer in layers]
    if request.layer not in names:
        raise ConfigError(
            f'there is no layer "{request.layer}"{nearest(request.layer, names)}; layers are {", ".join(names)}'
        )
    return layers[names.index(request.layer)]


def strongest(trace: Trace, layer: Layer, count: int) -> Sequence[int]:
    """Return the indices of the `count` units whose memory varies most over the steps, ascending."""
    return most_varied(trace[layer.remembers], count)


def most_varied(states: Tensor, count: int) -> list[int]:
    """Return the indices of the `count` units that vary most over the steps, ascending. states: (T, H)."""
    spread = states.numpy().std(axis=0)
    return sorted(np.argsort(-spread, kind="stable")[:count].tolist())
