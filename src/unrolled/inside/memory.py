"""What the direct path keeps of an earlier step, and for how long: from gates and weights alone, without the input.

    LSTM    retention[t, s] = mean over units of ∏_{k=s+1..t} f_k          what of c_s still stands in c_t
    GRU     retention[t, s] = mean over units of ∏_{k=s+1..t} z_k          what of h_s still stands in h_t
    Elman   retention[t, s] = √ mean over v of ‖∏_{k=s+1..t} diag(φ′_k) W_h v‖²     v: 8 fixed vectors of length 1
    attention   retention[t, s] = the weight, the mean of all heads
    window      retention[t, s] = 1 where the window of step t holds step s
    bag         retention[0, s] = 1 / T of a mean; of a maximum, the share of its units that come from step s

    half-life of a unit = ln 2 / −mean_t ln f_t                             in steps; of a GRU with z for f

That is the direct path only: what is written again from what is read through the gates is not counted. `gradient_norm` counts
every path. A layer that reads from the end keeps later steps, s > t.
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

__all__ = ["DIRECTIONS", "memory"]

DIRECTIONS = 8
"""Number of vectors with which retention is measured where no gate keeps the state."""


def memory(model: nn.Module, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return retention and half-life of every layer, and the retention of the lowest, by name.

    Args:
        model: that was watched. found: the tensors of its trace.
    """
    made: dict[str, Tensor] = {}
    for part, name in named(model).items():
        for phase in PHASES:
            layer = phase + name
            match part:
                case Recurrent():
                    made |= {layer + key: value for key, value in _of_layer(part, layer, found).items()}
                case SelfAttention() if f"{layer}weights" in found:
                    made[f"{layer}retention"] = found[f"{layer}weights"].mean(dim=0)
    for phase in PHASES:
        lowest = [made[name] for name in made if re.fullmatch(rf"{phase}\w+\.l0\.(reverse\.)?retention", name)]
        if lowest:  # of two directions one looks back and the other ahead
            made[f"{phase}retention"] = torch.stack(lowest).amax(dim=0)
    if isinstance(model, FeedforwardModel):
        made["retention"] = _of_feedforward(model, found)
    return made


def _of_layer(part: Recurrent, layer: str, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the retention of a layer and, where its cell has a gate that keeps, the half-life of its units."""
    cell = part.cell
    if cell.keeps is not None and f"{layer}{cell.keeps}" in found:
        gate = found[f"{layer}{cell.keeps}"]
        return {"retention": of_gate(gate, reverse=part.reverse), "half_life": half_life(gate)}
    if cell.State._fields == cell.feedback == (cell.emits,) and f"{layer}from_x" in found:
        x_gates = (found[f"{layer}from_x"] + found[f"{layer}bias"]).flatten(1)
        return {"retention": of_step(cell, x_gates, found[f"{layer}{cell.emits}"], reverse=part.reverse)}
    return {}


def _of_feedforward(model: FeedforwardModel, found: Mapping[str, Tensor]) -> Tensor:
    if model.window is not None:
        return of_window(len(found["tokens"]), model.window.length, model.window.ahead)
    assert model.bag is not None
    return of_bag(found["embedding" if model.embedding is not None else "inputs"], model.bag.pool)


def of_gate(gate: Tensor, *, reverse: bool = False) -> Tensor:
    """Return the retention (T, T) of a gate (T, H) that keeps at 1."""
    if reverse:
        return of_gate(gate.flip(0)).flip(0, 1)
    T = len(gate)
    found, kept = gate.new_zeros(T, T), torch.ones_like(gate)
    for t in range(T):
        kept[:t] *= gate[t]
        found[t, : t + 1] = kept[: t + 1].mean(dim=1)
    return found


def of_step(cell: Cell[Any, Any], x_gates: Tensor, h: Tensor, *, reverse: bool = False) -> Tensor:
    """Return the retention (T, T) of a layer whose one hidden state has no gate that keeps it, such as Elman's.

    It follows vectors of length 1 through the Jacobians ∂h_t / ∂h_{t−1} of the steps.

    Args:
        cell: of the layer. x_gates: its projected inputs, (T, G·H). h: its hidden states, (T, H).
    """
    if reverse:
        return of_step(cell, x_gates.flip(0), h.flip(0)).flip(0, 1)
    cell = copy.deepcopy(cell).requires_grad_(False).to(h)
    T, H = h.shape
    vectors = torch.randn(DIRECTIONS, H, generator=torch.Generator().manual_seed(0)).to(h)
    vectors = vectors / vectors.norm(dim=1, keepdim=True)
    found, moved = (
        h.new_zeros(T, T),
        vectors.expand(T, -1, -1).clone(),
    )  # (T, 8, H): the vectors that start at each step
    for t in range(T):
        if t:

            def step(before: Tensor, x: Tensor = x_gates[t]) -> Tensor:
                state = cell.State(before)
                return cell.advance(cell.gates(x, state), state)[0]

            jacobian = torch.func.jacrev(step)(h[t - 1])  # (H, H)
            moved[:t] = moved[:t] @ jacobian.T
        found[t, : t + 1] = moved[: t + 1].pow(2).sum(dim=2).mean(dim=1).sqrt()
    return found


def of_window(T: int, length: int, ahead: int) -> Tensor:
    """Return the retention (T, T) of a window of so many inputs, some of them ahead."""
    back = torch.arange(T).unsqueeze(1) - torch.arange(T)  # t − s
    return ((back >= -ahead) & (back < length - ahead)).float()


def of_bag(vectors: Tensor, pool: str) -> Tensor:
    """Return the retention (1, T) of a bag of vectors (T, D)."""
    T, D = vectors.shape
    if pool == "mean":
        return vectors.new_full((1, T), 1 / T)
    return torch.bincount(vectors.argmax(dim=0), minlength=T).to(vectors).unsqueeze(0) / D


def half_life(gate: Tensor) -> Tensor:
    """Return after how many steps each unit has kept a half, (H,), of a gate (T, H) that keeps at 1; at most 10⁹."""
    return math.log(2) / (-gate.log().mean(dim=0)).clamp(min=math.log(2) * 1e-9)
