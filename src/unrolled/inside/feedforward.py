"""What stands between the linear layers of a feedforward network, computed again from what went in."""

from __future__ import annotations

from torch import Tensor

from unrolled.inside.watch import Call
from unrolled.layers import MLP
from unrolled.layers.block import Feedforward

__all__ = ["of_block", "of_mlp"]


def of_mlp(mlp: MLP, calls: list[Call]) -> dict[str, Tensor]:
    """Return what enters, a bag (1, D) or windows (T, D), and the activations of every layer."""
    (call,) = calls
    x = call.given["x"].reshape(-1, call.given["x"].shape[-1])
    found = {"x": x}
    steps = list(mlp.steps)
    for layer in range(len(steps) // 3):  # each is a product, a nonlinearity and dropout, which is none here
        found[f"l{layer}.h"] = x = steps[3 * layer + 1](steps[3 * layer](x))
    return found


def of_block(network: Feedforward, calls: list[Call]) -> dict[str, Tensor]:
    """Return the activations (T, F) of the network in a Transformer's block."""
    (call,) = calls
    product, nonlinearity, *_ = network
    return {"inner": nonlinearity(product(call.given["input"]))[0]}
