"""Retention and half-life of the state along the direct path, from gates and weights without the inputs.

    LSTM    retention[t, s] = mean over units of ∏_{k=s+1..t} f_k          the fraction of c_s in c_t
    GRU     retention[t, s] = mean over units of ∏_{k=s+1..t} z_k          the fraction of h_s in h_t
    Elman   retention[t, s] = √ mean over v of ‖∏_{k=s+1..t} diag(φ′_k) W_h v‖²     v: 8 fixed vectors of length 1
    linear attention    retention[t, s] = 1: nothing decays
    attention   retention[t, s] = the weight, mean over heads
    window      retention[t, s] = 1 if the window of step t includes step s, else 0
    bag         retention[0, s] = 1 / T of a mean; of a maximum, the fraction of units whose maximum is at step s

    half-life of a unit = ln 2 / −mean_t ln f_t                             in steps; of a GRU with z for f

The direct path excludes information that passes through the gates and is written again; `gradient_norm` includes every
path. In a reverse layer, retention is that of later steps, s > t.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from unrolled.cells import Cell
from unrolled.inside.kinds import PHASES, named
from unrolled.layers import Recurrent, SelfAttention
from unrolled.models import FeedforwardModel

__all__ = ["DIRECTIONS", "directions", "memory"]

DIRECTIONS = 8
"""Number of vectors that measure the retention of a cell without a gate that keeps the state."""


def memory(model: nn.Module, trace: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return retention and half-life of every layer, and the retention of the lowest, by name.

    Args:
        model: the traced model.
        trace: the tensors of its trace, by name.
    """
    tensors: dict[str, Tensor] = {}
    for module, name in named(model).items():
        for phase in PHASES:
            prefix = phase + name
            match module:
                case Recurrent():
                    tensors |= {prefix + key: value for key, value in _of_layer(module, prefix, trace).items()}
                case SelfAttention() if f"{prefix}weights" in trace:
                    tensors[f"{prefix}retention"] = trace[f"{prefix}weights"].mean(dim=0)
    for phase in PHASES:
        pattern = rf"{phase}\w+\.l0\.(reverse\.)?retention"
        lowest = [value for name, value in tensors.items() if re.fullmatch(pattern, name)]
        if lowest:  # of two directions, one retains earlier steps and the other later ones
            tensors[f"{phase}retention"] = torch.stack(lowest).amax(dim=0)
    if isinstance(model, FeedforwardModel):
        tensors["retention"] = _of_feedforward(model, trace)
    return tensors


def _of_layer(layer: Recurrent, prefix: str, trace: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the retention of a layer and, if its cell has a gate that keeps the state, the half-life of its units."""
    cell = layer.cell
    if cell.keeps is not None and f"{prefix}{cell.keeps}" in trace:
        gate = trace[f"{prefix}{cell.keeps}"]
        return {"retention": of_gate(gate, reverse=layer.reverse), "half_life": half_life(gate)}
    if cell.keeps is None and not cell.feedback and f"{prefix}{cell.emits}" in trace:
        y = trace[f"{prefix}{cell.emits}"]
        ones = y.new_ones(len(y), len(y))
        return {"retention": ones.triu() if layer.reverse else ones.tril()}
    if cell.State._fields == cell.feedback == (cell.emits,) and f"{prefix}from_x" in trace:
        x_gates = (trace[f"{prefix}from_x"] + trace[f"{prefix}bias"]).flatten(1)
        return {"retention": of_step(cell, x_gates, trace[f"{prefix}{cell.emits}"], reverse=layer.reverse)}
    return {}


def _of_feedforward(model: FeedforwardModel, trace: Mapping[str, Tensor]) -> Tensor:
    if model.window is not None:
        return of_window(len(trace["tokens"]), model.window.length, model.window.ahead)
    assert model.bag is not None
    return of_bag(trace["embedding" if model.embedding is not None else "inputs"], model.bag.pool)


def of_gate(gate: Tensor, *, reverse: bool = False) -> Tensor:
    """Return the retention (T, T) of a layer from its gate (T, H), which keeps the state at 1."""
    if reverse:
        return of_gate(gate.flip(0)).flip(0, 1)
    T = len(gate)
    retention, products = gate.new_zeros(T, T), torch.ones_like(gate)  # products: (T, H), of the gates after each step
    for t in range(T):
        products[:t] *= gate[t]
        retention[t, : t + 1] = products[: t + 1].mean(dim=1)
    return retention


def of_step(cell: Cell[Any, Any], x_gates: Tensor, h: Tensor, *, reverse: bool = False) -> Tensor:
    """Return the retention (T, T) of a layer whose state is h alone, without a gate that keeps it, such as Elman's.

    It multiplies vectors of length 1 with the Jacobians ∂h_t / ∂h_{t−1} of the steps.

    Args:
        cell: cell of the layer.
        x_gates: its projected inputs, (T, G·H).
        h: its hidden states, (T, H).
    """
    if reverse:
        return of_step(cell, x_gates.flip(0), h.flip(0)).flip(0, 1)
    cell = copy.deepcopy(cell).requires_grad_(False).to(h)
    T, H = h.shape
    vectors = directions(H).to(h)
    retention = h.new_zeros(T, T)
    moved = vectors.expand(T, -1, -1).clone()  # (T, 8, H): the vectors that start at each step
    for t in range(T):
        if t:

            def step(before: Tensor, x: Tensor = x_gates[t]) -> Tensor:
                state = cell.State(before)
                return cell.advance(cell.gates(x, state), state)[0]

            jacobian = torch.func.jacrev(step)(h[t - 1])  # (H, H)
            moved[:t] = moved[:t] @ jacobian.T
        retention[t, : t + 1] = moved[: t + 1].pow(2).sum(dim=2).mean(dim=1).sqrt()
    return retention


def directions(size: int) -> Tensor:
    """Return the fixed vectors of length 1, (DIRECTIONS, size), that `of_step` multiplies."""
    vectors = torch.randn(DIRECTIONS, size, generator=torch.Generator().manual_seed(0)).double()
    unit: Tensor = vectors / vectors.norm(dim=1, keepdim=True)
    return unit


def of_window(T: int, length: int, ahead: int) -> Tensor:
    """Return the retention (T, T) of a window of `length` inputs, `ahead` of them after the step's own."""
    back = torch.arange(T).unsqueeze(1) - torch.arange(T)  # t − s
    return ((back >= -ahead) & (back < length - ahead)).float()


def of_bag(vectors: Tensor, pool: str) -> Tensor:
    """Return the retention (1, T) of a bag of vectors (T, D)."""
    T, D = vectors.shape
    if pool == "mean":
        return vectors.new_full((1, T), 1 / T)
    return torch.bincount(vectors.argmax(dim=0), minlength=T).to(vectors).unsqueeze(0) / D


def half_life(gate: Tensor) -> Tensor:
    """Return the half-life of each unit in steps, (H,), from a gate (T, H) that keeps the state at 1; at most 10⁹."""
    return math.log(2) / (-gate.log().mean(dim=0)).clamp(min=math.log(2) * 1e-9)
