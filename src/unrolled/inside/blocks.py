"""Vectors of a Transformer's blocks for a trace, as its modules read and returned them."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from unrolled.inside.watch import Call
from unrolled.layers import Block, Position

__all__ = ["block_tensors", "position_tensors"]


def position_tensors(position: Position, calls: list[Call]) -> dict[str, Tensor]:
    """Return the vector of each token at the size of the blocks, and the vector of its position, (T, D) each."""
    (call,) = calls
    x = call.arguments["x"][0]
    return {"token": x, "position": call.returned[0] - x}


def block_tensors(block: Block, calls: list[Call], calls_of: Callable[[nn.Module], list[Call]]) -> dict[str, Tensor]:
    """Return input and output of a block, and of each of its sublayers, (T, D) each.

    calls_of: the calls of a module; of the sublayers, the output is what the block adds to x.
    """
    (call,) = calls
    tensors = {"x": call.arguments["x"]}
    for module, key, prefix in (
        (block.mixer, "x", "attention_"),
        (block.cross, "x", "cross."),
        (block.feedforward, "input", "feedforward_"),
    ):
        for inner in [] if module is None else calls_of(module):
            output = inner.returned[0] if isinstance(inner.returned, tuple) else inner.returned
            tensors |= {f"{prefix}input": inner.arguments[key], f"{prefix}output": output}
    return {name: value[0] for name, value in (tensors | {"y": call.returned[0]}).items()}
