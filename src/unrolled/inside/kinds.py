"""Table of the traced module types: the prefix of their tensors' names, and the tensors computed from their calls."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from unrolled.inside import attention, blocks, feedforward, recurrent
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
    Position,
    Projected,
    Recurrent,
    SelfAttention,
)
from unrolled.layers.block import Feedforward

__all__ = ["PHASES", "named", "tensors"]

PHASES = ("", "encoder.", "decoder.")
"""Prefixes of the phases of a trace: a sequence without a source, a source, a target."""


class Kind(NamedTuple):
    """Traced type of module.

    Args:
        name: (module, layer number) -> prefix of its tensors' names.
        tensors: (module, its calls, lookup of the calls of another module) -> its tensors, by their names without the
            prefix.
        phased: whether the phase precedes the prefix.
    """

    name: Callable[[Any, str], str]
    tensors: Callable[[Any, list[Call], Callable[[nn.Module], list[Call]]], dict[str, Tensor]]
    phased: bool = True


def _recurrent_name(layer: Recurrent, number: str) -> str:
    return f"{recurrent.kind(layer.cell)}.l{number}.{'reverse.' if layer.reverse else ''}"


def _outputs(name: str) -> Callable[[Any, list[Call], Any], dict[str, Tensor]]:
    """Return a function for `Kind.tensors` that gives a module's outputs one name."""

    def tensors(module: nn.Module, calls: list[Call], calls_of: Any) -> dict[str, Tensor]:
        ys = [call.returned[0] if isinstance(call.returned, tuple) else call.returned for call in calls]
        return {name: torch.cat(ys, dim=1)[0]}

    return tensors


_SCORE = Kind(
    lambda module, i: "attention.", lambda module, calls, calls_of: attention.score_tensors(module, calls), phased=False
)

KINDS: dict[type[nn.Module], Kind] = {
    Embedding: Kind(lambda module, i: "", _outputs("embedding")),
    Recurrent: Kind(_recurrent_name, lambda module, calls, calls_of: recurrent.of_layer(module, calls)),
    Bahdanau: Kind(
        lambda module, i: _recurrent_name(module.layers.layers[0], "0"),
        lambda module, calls, calls_of: attention.bahdanau_tensors(module, calls, calls_of(module.score)),
    ),
    Additive: _SCORE,
    Dot: _SCORE,
    General: _SCORE,
    SelfAttention: Kind(
        lambda module, i: f"transformer.l{i}.",
        lambda module, calls, calls_of: attention.self_attention_tensors(module, calls),
    ),
    CrossAttention: Kind(
        lambda module, i: f"transformer.l{i}.cross.",
        lambda module, calls, calls_of: attention.cross_attention_tensors(module, calls),
    ),
    Feedforward: Kind(
        lambda module, i: f"transformer.l{i}.", lambda module, calls, calls_of: feedforward.block_tensors(module, calls)
    ),
    Position: Kind(
        lambda module, i: "transformer.", lambda module, calls, calls_of: blocks.position_tensors(module, calls)
    ),
    Projected: Kind(lambda module, i: f"transformer.l{i}.", lambda module, calls, calls_of: {}),  # those of its block
    Block: Kind(lambda module, i: f"transformer.l{i}.", blocks.block_tensors),
    MLP: Kind(lambda module, i: "feedforward.", lambda module, calls, calls_of: feedforward.mlp_tensors(module, calls)),
}


def named(model: nn.Module) -> dict[nn.Module, str]:
    """Return the traced modules of a model with the prefixes of their tensors' names."""
    return {
        module: KINDS[type(module)].name(module, _layer_number(path))
        for path, module in model.named_modules()
        if type(module) in KINDS
    }


def tensors(notes: Notes, names: dict[nn.Module, str]) -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor of the traced modules with its full name.

    Args:
        names: as `named` returns them.
    """
    for phase, module, calls in notes:
        kind = KINDS[type(module)]
        prefix = (phase if kind.phased else "") + names[module]
        for name, value in kind.tensors(module, calls, partial(notes.calls, phase)).items():
            yield prefix + name, value


def _layer_number(path: str) -> str:
    """Return the last number in the path of a module, "0" for none: the index of its layer."""
    numbers: list[str] = re.findall(r"(?:^|\.)(\d+)(?=\.|$)", path)
    return numbers[-1] if numbers else "0"
