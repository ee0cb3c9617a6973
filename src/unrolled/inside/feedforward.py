"""Activations of feedforward networks for a trace, recomputed from their inputs."""

from __future__ import annotations

from torch import Tensor

from unrolled.inside.watch import Call
from unrolled.layers import MLP
from unrolled.layers.block import Feedforward

__all__ = ["block_tensors", "mlp_tensors"]


def mlp_tensors(mlp: MLP, calls: list[Call]) -> dict[str, Tensor]:
    """Return the input, of a bag (1, D) or of windows (T, D), and the activations of every layer."""
    (call,) = calls
    x = call.arguments["x"].reshape(-1, call.arguments["x"].shape[-1])
    tensors = {"x": x}
    steps = list(mlp.steps)
    for layer in range(len(steps) // 3):  # linear, nonlinearity, dropout; dropout is off in eval mode
        tensors[f"l{layer}.h"] = x = steps[3 * layer + 1](steps[3 * layer](x))
    return tensors


def block_tensors(network: Feedforward, calls: list[Call]) -> dict[str, Tensor]:
    """Return the activations (T, F) between the two linear layers in a Transformer's block."""
    (call,) = calls
    linear, nonlinearity, *_ = network
    return {"inner": nonlinearity(linear(call.arguments["input"]))[0]}
