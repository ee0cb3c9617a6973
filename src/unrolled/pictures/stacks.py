"""The layers of a trace that have an output at each step, as boxes over time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from unrolled.inside import Trace
from unrolled.pictures.attention import Weights, transformer_weights
from unrolled.pictures.figure import resolve_index
from unrolled.pictures.layers import recurrent

__all__ = ["LayerBoxes", "Stack", "drawn_steps", "stacks_of"]


class LayerBoxes(NamedTuple):
    """One layer, drawn as a box for each step.

    tensor: its output at each step, (T, H). label: the words in its box.

    direction: 1 where a step reads the state of the step before it, −1 of the step after it, 0 where there is no state.
    reverse: the tensor of a second direction. attention: the weights of a head.
    """

    tensor: str
    label: str
    direction: int = 0
    reverse: str = ""
    attention: Weights | None = None


class Stack(NamedTuple):
    """Layers over the same steps, lowest first. module: "encoder", "decoder" or ""."""

    module: str
    tokens: Sequence[str]
    layers: Sequence[LayerBoxes]

    @property
    def shows_tokens(self) -> bool:
        """True if the input of each step is drawn. That of a recurrent decoder is the answer before it."""
        return self.module != "decoder" or any(layer.attention for layer in self.layers)


def stacks_of(trace: Trace, head: int | None) -> list[Stack]:
    """Return the stacks of a trace, from the encoder up. head: of its self-attention, the first by default."""
    about = trace.about
    boxes: dict[str, list[LayerBoxes]] = {}
    layers = {layer.name: layer for layer in recurrent(trace)}
    for name, layer in layers.items():
        reverse = f"{name}.reverse"
        if name.endswith(".reverse") and name.removesuffix(".reverse") in layers:
            continue
        direction = -1 if name.endswith(".reverse") else 1
        label = "Elman" if layer.cell == "elman" else layer.cell.upper()
        second = f"{reverse}.h" if reverse in layers else ""
        boxes.setdefault(layer.part, []).append(LayerBoxes(f"{name}.h", label, direction, second))
    heads = transformer_weights(trace)
    for name in trace:
        if match := re.fullmatch(r"(?:(encoder|decoder)\.)?transformer\.l\d+\.y", name):
            own = [each for each in heads if each.tensor == name.removesuffix("y") + "weights"]
            attention = own[resolve_index(head, len(own), "head", 0)] if own else None
            boxes.setdefault(match[1] or "", []).append(LayerBoxes(name, "block", attention=attention))
    tokens = {"encoder": about.source, "decoder": about.tokens, "": about.tokens}
    return [Stack(module, tokens[module], boxes[module]) for module in ("encoder", "decoder", "") if module in boxes]


def drawn_steps(count: int, columns: int) -> list[int | None]:
    """Return the steps to draw in that many columns: all, or the first ones, None for a gap, and the last two."""
    return [*range(count)] if count <= columns else [*range(columns - 3), None, count - 2, count - 1]
