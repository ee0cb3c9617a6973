"""AdamW (Loshchilov & Hutter 2019) with weight decay on matrices only, and clipping that refuses what is not finite."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from unrolled.errors import TrainingError

__all__ = ["adamw", "clip_", "moments", "moments_like", "set_moments"]

MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # what torch's AdamW keeps of every parameter, all tensors


def adamw(model: nn.Module, *, rate: float, weight_decay: float) -> torch.optim.AdamW:
    """Return AdamW over the model's parameters; biases and other vectors are not decayed."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    fused = all(p.device.type in ("cpu", "cuda", "mps") and p.is_floating_point() for p in parameters)
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=rate, fused=fused)


def clip_(model: nn.Module, most: float, *, update: int, loss_nats: float) -> float:
    """Scale the gradients in place so that their joint norm is at most `most`; return the norm before.

    Raises:
        TrainingError: the loss or a gradient is not finite. Nothing was changed; the message names the update and the
            parameter with the largest gradient.
    """
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    foreach = None if any(g.device.type == "mps" for g in gradients.values()) else True  # what MPS cannot do yet
    norm_tensor = nn.utils.get_total_norm(list(gradients.values()), foreach=foreach)
    norm = float(norm_tensor)
    if not (norm < float("inf") and abs(loss_nats) < float("inf")):  # NaN is less than nothing
        raise TrainingError(_not_finite(gradients, update, loss_nats))
    if norm > most:
        nn.utils.clip_grads_with_norm_(model.parameters(), most, norm_tensor, foreach=foreach)
    return norm


def moments(optimizer: torch.optim.AdamW, model: nn.Module) -> dict[str, dict[str, Tensor]]:
    """Return what the optimiser remembers, by its own names and those of the parameters; nothing before an update."""
    states = {name: optimizer.state[p] for name, p in model.named_parameters() if p in optimizer.state}
    return {what: {name: state[what] for name, state in states.items()} for what in MOMENTS}


def moments_like(parameters: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Return tensors of the shapes that `moments` has after an update, without memory of their own."""
    shapes = {name: torch.empty_like(p, device="meta") for name, p in parameters.items() if p.requires_grad}
    steps = dict.fromkeys(shapes, torch.empty((), device="meta"))
    return {what: steps if what == "step" else shapes for what in MOMENTS}


def set_moments(optimizer: torch.optim.AdamW, model: nn.Module, groups: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Have the optimiser remember what `moments` returned."""
    optimizer.state.clear()
    for name, p in model.named_parameters():
        if name in groups.get("step", {}):
            optimizer.state[p] = {what: groups[what][name] for what in MOMENTS}


def _not_finite(gradients: dict[str, Tensor], update: int, loss_nats: float) -> str:
    largest = {name: float(gradient.abs().max()) for name, gradient in gradients.items() if gradient.numel()}
    broken = [name for name, value in largest.items() if not value < float("inf")]
    worst = ", ".join(broken[:3]) if broken else max(largest, key=lambda name: largest[name])
    what = "is not finite in" if broken else "is largest in"
    return (
        f"update {update + 1}: loss {loss_nats:.4g}, and the gradient {what} {worst}. "
        "The weights of the last update are untouched; try a smaller --learning-rate, a smaller --clip or more --warmup"
    )
