"""The one table of what is watched: what the tensors of a part begin with, and how they are made from its calls."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from unrolled.inside import attention, feedforward, recurrent
from unrolled.inside.watch import Call, Notes
from unrolled.layers import (
    MLP,
    Additive,
    Bahdanau,
    Block,
    CrossAttention,
    Dot,
    Embedding,
    General,
    Recurrent,
    SelfAttention,
)
from unrolled.layers.block import Feedforward

__all__ = ["PHASES", "named", "tensors"]

PHASES = ("", "encoder.", "decoder.")
"""What a part is called for: a sequence that has no source; a source; a target."""


class Kind(NamedTuple):
    """A type of part.

    name: (part, number of its layer) -> what its tensors begin with. tensors: (part, its calls, what asks for the calls
    of another split) -> its tensors by the rest of their names. phased: whether the phase stands in front of the name.
    """

    name: Callable[[Any, str], str]
    tensors: Callable[[Any, list[Call], Callable[[nn.Module], list[Call]]], dict[str, Tensor]]
    phased: bool = True


def _of_recurrent(layer: Recurrent, number: str) -> str:
    return f"{recurrent.kind(layer.cell)}.l{number}.{'reverse.' if layer.reverse else ''}"


def _outputs(name: str) -> Callable[[Any, list[Call], Any], dict[str, Tensor]]:
    """What a part put out, under one name."""

    def tensors(part: nn.Module, calls: list[Call], of: Any) -> dict[str, Tensor]:
        ys = [call.returned[0] if isinstance(call.returned, tuple) else call.returned for call in calls]
        return {name: torch.cat(ys, dim=1)[0]}

    return tensors


_SCORE = Kind(lambda part, i: "attention.", lambda part, calls, of: attention.of_score(part, calls), phased=False)

KINDS: dict[type[nn.Module], Kind] = {
    Embedding: Kind(lambda part, i: "", _outputs("embedding")),
    Recurrent: Kind(_of_recurrent, lambda part, calls, of: recurrent.of_layer(part, calls)),
    Bahdanau: Kind(
        lambda part, i: _of_recurrent(part.layers.layers[0], "0"),
        lambda part, calls, of: attention.of_bahdanau(part, calls, of(part.score)),
    ),
    Additive: _SCORE,
    Dot: _SCORE,
    General: _SCORE,
    SelfAttention: Kind(lambda part, i: f"transformer.l{i}.", lambda part, calls, of: attention.of_self(part, calls)),
    CrossAttention: Kind(
        lambda part, i: f"transformer.l{i}.cross.", lambda part, calls, of: attention.of_cross(part, calls)
    ),
    Feedforward: Kind(lambda part, i: f"transformer.l{i}.", lambda part, calls, of: feedforward.of_block(part, calls)),
    Block: Kind(lambda part, i: f"transformer.l{i}.", _outputs("y")),
    MLP: Kind(lambda part, i: "feedforward.", lambda part, calls, of: feedforward.of_mlp(part, calls)),
}


def named(model: nn.Module) -> dict[nn.Module, str]:
    """Return the parts of a model that are watched, with what their tensors begin with."""
    return {
        part: KINDS[type(part)].name(part, _number(path)) for path, part in model.named_modules() if type(part) in KINDS
    }


def tensors(notes: Notes, names: dict[nn.Module, str]) -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor of the watched parts by its whole name."""
    for phase, part, calls in notes:
        kind = KINDS[type(part)]
        prefix = (phase if kind.phased else "") + names[part]
        for name, value in kind.tensors(part, calls, partial(notes.of, phase)).items():
            yield prefix + name, value


def _number(path: str) -> str:
    """The number of the layer in the path of a part of it: the last one there is."""
    numbers: list[str] = re.findall(r"(?:^|\.)(\d+)(?=\.|$)", path)
    return numbers[-1] if numbers else "0"
