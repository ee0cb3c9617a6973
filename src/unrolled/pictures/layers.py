"""The recurrent layers of a trace, and which of their units say most."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from unrolled.cells import CELLS, Cell
from unrolled.errors import ConfigError, nearest
from unrolled.inside import Trace
from unrolled.pictures.figure import Request

__all__ = ["TENSORS", "Layer", "asked_layer", "recurrent", "strongest"]


def _shown(cell: type[Cell[Any, Any]]) -> tuple[str, ...]:
    """Return the tensors of a layer over time: its memory first (the last leaf of the state), the gate that keeps it."""
    memory, *others = reversed(cell.State._fields)
    gates = sorted(cell.gate_meanings, key=lambda gate: gate != cell.keeps)
    return (memory, *gates, *others)


TENSORS = {name: _shown(cell) for name, cell in CELLS.items()}
"""The tensors of a recurrent layer that are drawn over time, by cell; its memory first."""


class Layer(NamedTuple):
    """A recurrent layer of a trace.

    name: what its tensors begin with, "decoder.lstm.l0". cell: "lstm". part: "encoder", "decoder" or "". tokens: what
    its steps read.
    """

    name: str
    cell: str
    part: str
    tokens: tuple[str, ...]

    @property
    def remembers(self) -> str:
        """The tensor that carries the past."""
        return f"{self.name}.{TENSORS[self.cell][0]}"


def recurrent(trace: Trace) -> list[Layer]:
    """Return the recurrent layers, in the order of the trace."""
    found = []
    for name in trace:
        match = re.fullmatch(rf"((?:(encoder|decoder)\.)?({'|'.join(CELLS)})\.l\d+(?:\.reverse)?)\.h", name)
        if match:
            layer, part, cell = match.groups()
            about = trace.about
            tokens = about.source if part == "encoder" else about.tokens
            steps = len(trace[name])
            found.append(Layer(layer, cell, part or "", (*tokens[:steps], *[""] * (steps - len(tokens)))))
    return found


def asked_layer(trace: Trace, asked: Request) -> Layer:
    """Return the layer that is asked for; otherwise the highest, of a decoder where there is one, or one below.

    Raises:
        ConfigError: there is none of that name; names those there are.
    """
    layers = recurrent(trace)
    if asked.layer is None:
        return layers[-1 - asked.below]
    names = [layer.name for layer in layers]
    if asked.layer not in names:
        raise ConfigError(
            f'layer "{asked.layer}" is not there{nearest(asked.layer, names)}; there are {", ".join(names)}'
        )
    return layers[names.index(asked.layer)]


def strongest(trace: Trace, layer: Layer, count: int) -> Sequence[int]:
    """Return the `count` units whose memory varies most over the steps, in the order of their numbers."""
    spread = trace[layer.remembers].numpy().std(axis=0)
    return sorted(np.argsort(-spread, kind="stable")[:count].tolist())
