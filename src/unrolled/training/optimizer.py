"""AdamW (Loshchilov & Hutter 2019) with weight decay on matrices only, and gradient clipping that checks for NaN."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from unrolled.errors import TrainingError

__all__ = ["adamw", "clip_", "moments", "moments_like", "set_moments"]

MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # the state of torch's AdamW for every parameter, all tensors


def adamw(model: nn.Module, *, rate: float, weight_decay: float) -> torch.optim.AdamW:
    """Return AdamW over the model's parameters; biases and other vectors are not decayed."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    fused = all(p.device.type in ("cpu", "cuda", "mps") and p.is_floating_point() for p in parameters)
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=rate, fused=fused)


def clip_(model: nn.Module, max_norm: float, *, update: int, loss_nats: float) -> float:
    """Scale the gradients in place so that their joint norm is at most `max_norm`; return the norm before.

    Args:
        model: the model, with gradients.
        max_norm: the greatest norm that gradients keep.
        update: number of the update, from 0, for the message.
        loss_nats: the loss of the update, which is checked next to the gradients.

    Raises:
        TrainingError: the loss or a gradient is not finite. Nothing was changed; the message names the update and the
            parameter with the largest gradient.
    """
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    foreach = None if any(g.device.type == "mps" for g in gradients.values()) else True  # MPS has no foreach norms
    norm_tensor = nn.utils.get_total_norm(list(gradients.values()), foreach=foreach)
    norm = float(norm_tensor)
    if not (norm < float("inf") and abs(loss_nats) < float("inf")):  # a comparison with NaN is false
        raise TrainingError(_not_finite(gradients, update, loss_nats))
    if norm > max_norm:
        nn.utils.clip_grads_with_norm_(model.parameters(), max_norm, norm_tensor, foreach=foreach)
    return norm


def moments(optimizer: torch.optim.AdamW, model: nn.Module) -> dict[str, dict[str, Tensor]]:
    """Return the optimiser's state by moment and parameter: {"exp_avg": {name: tensor}}; empty before an update."""
    states = {name: optimizer.state[p] for name, p in model.named_parameters() if p in optimizer.state}
    return {moment: {name: state[moment] for name, state in states.items()} for moment in MOMENTS}


def moments_like(parameters: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Return meta tensors with the names and shapes that `moments` has after an update."""
    shapes = {name: torch.empty_like(p, device="meta") for name, p in parameters.items() if p.requires_grad}
    steps = dict.fromkeys(shapes, torch.empty((), device="meta"))
    return {moment: steps if moment == "step" else shapes for moment in MOMENTS}


def set_moments(optimizer: torch.optim.AdamW, model: nn.Module, groups: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Set the optimiser's state to the result of an earlier `moments`."""
    optimizer.state.clear()
    for name, p in model.named_parameters():
        if name in groups.get("step", {}):
            optimizer.state[p] = {moment: groups[moment][name] for moment in MOMENTS}


def _not_finite(gradients: dict[str, Tensor], update: int, loss_nats: float) -> str:
    largest = {name: float(gradient.abs().max()) for name, gradient in gradients.items() if gradient.numel()}
    broken = [name for name, value in largest.items() if not value < float("inf")]
    worst = ", ".join(broken[:3]) if broken else max(largest, key=lambda name: largest[name])
    verb = "is not finite in" if broken else "is largest in"
    return (
        f"update {update + 1}: loss {loss_nats:.4g}, and the gradient {verb} {worst}. "
        "The weights of the last update are untouched; try a smaller --learning-rate, a smaller --clip or more --warmup"
    )
