"""Attribution: what of the input moved an answer, and how far back it reaches, in absolute units.

For answer a, asked for y_a, and the vector x_s of the token at step s:

    gradient_norm[a, s]          = ‖∂ ln p(y_a) / ∂ x_s‖₂                           nats a unit of the vector
    input_x_gradient[a, s] = x_s · ∂ ln p(y_a) / ∂ x_s                        nats
    occlusion[a, s]       = log₂ p(y_a) − log₂ p(y_a | x̄ in the place of x_s)    bits: above 0, the token helped

x̄ is the mean of all tokens' vectors; of images, the mean pixel, which is 0. All three are of the trained network in
eval mode, whatever its row, so that one scale serves an Elman network and a Transformer. Of a source they have the
prefix `source.`.

Reach and gradient × input differentiate a copy of the example for each answer, in one backward pass for many copies:
where no answer depends on later steps, a copy ends with the step of its answer. Occlusion reads a copy for each token.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from unrolled.inside.copies import (
    AT_ONCE,
    Side,
    begun,
    copied,
    copies_of,
    log_prob,
    own_log_prob,
    sides,
    stretches,
    unlearning,
)
from unrolled.inside.example import Example
from unrolled.models import Model
from unrolled.state import State

__all__ = ["attribution", "gradients", "occlusion"]


def attribution(model: Model, example: Example) -> dict[str, Tensor]:
    """Return gradient_norm, gradient × input and occlusion, (A, T) each, and (A, S) of a source.

    Args:
        model: in eval mode. example: with all of its answers known.
    """
    return gradients(model, example) | occlusion(model, example)


def gradients(model: Model, example: Example) -> dict[str, Tensor]:
    """Return gradient_norm and gradient × input of every answer and token; see above."""
    read = sides(model, example)
    found = {
        f"{side.prefix}{name}": side.vectors.new_zeros(len(example.steps), len(side.vectors))
        for name in ("gradient_norm", "input_x_gradient")
        for side in read
    }
    with unlearning(model), torch.enable_grad():
        for first, last, T in stretches(model, example):
            lengths = [T, *(len(side.vectors) for side in read[1:])]
            leaves = [copies_of(side, last - first, n) for side, n in zip(read, lengths, strict=True)]
            state = begun(model, read[1], leaves[1]) if len(read) > 1 else None
            asked = own_log_prob(model, example, read[0], leaves[0], state, first, last).sum()
            for side, leaf, slope in zip(read, leaves, torch.autograd.grad(asked, leaves), strict=True):
                found[f"{side.prefix}gradient_norm"][first:last, : leaf.shape[1]] = slope.norm(dim=2)
                found[f"{side.prefix}input_x_gradient"][first:last, : leaf.shape[1]] = (slope * leaf.detach()).sum(
                    dim=2
                )
    return found


@torch.no_grad()
def occlusion(model: Model, example: Example) -> dict[str, Tensor]:
    """Return what replacing each token takes from each answer, in bits; see above."""
    inputs, *before = sides(model, example)
    state = begun(model, before[0], before[0].vectors[None]) if before else None
    whole = log_prob(model, example, inputs, inputs.vectors[None], state)[0]  # (A,)
    found = {"occlusion": _of_inputs(model, example, inputs, state, whole)}
    for side in before:
        found[f"{side.prefix}occlusion"] = _of_source(model, example, inputs, side, whole)
    return {name: lost.T / math.log(2) for name, lost in found.items()}


def _of_inputs(model: Model, example: Example, inputs: Side, state: State, whole: Tensor) -> Tensor:
    """What replacing each of the inputs takes from the answers, in nats, (T, A), of which whole (A,) is ln p.

    Where no answer depends on later steps, copies go on from the state before the first of theirs.
    """
    T = len(inputs.vectors)
    lost, first = whole.new_zeros(T, len(whole)), 0
    while first < T:
        start = first if model.causal else 0
        last = min(T, first + max(1, AT_ONCE // (T - start)))
        some = _replaced(inputs, first, last)[:, start:]
        later = example.steps >= start
        nats = log_prob(model, example, inputs, some, copied(state, last - first), start=start)
        lost[first:last, later] = whole[later] - nats
        if model.causal:
            _, state = model(example.inputs[:, first:last], state)
        first = last
    return lost


def _of_source(model: Model, example: Example, inputs: Side, source: Side, whole: Tensor) -> Tensor:
    """The same of each token of the source, (S, A)."""
    S, T = len(source.vectors), len(inputs.vectors)
    copies, lost = max(1, AT_ONCE // (S + T)), []
    for first in range(0, S, copies):
        state = begun(model, source, _replaced(source, first, min(S, first + copies)))
        same = inputs.vectors.expand(min(S, first + copies) - first, -1, -1)
        lost.append(whole - log_prob(model, example, inputs, same, state))
    return torch.cat(lost)


def _replaced(side: Side, first: int, last: int) -> Tensor:
    """The vectors in copies, (last − first, T, D): in each, one of the steps from first to last is replaced."""
    copies = side.vectors.expand(last - first, -1, -1).clone()
    copies[torch.arange(last - first), torch.arange(first, last)] = side.nothing
    return copies
