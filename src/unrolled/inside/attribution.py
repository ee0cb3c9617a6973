"""Attribution of each answer to each token of the input, in absolute units.

For an answer a with output y_a, and the vector x_s of the token at step s:

    gradient_norm[a, s]    = ‖∂ ln p(y_a) / ∂ x_s‖₂                              nats a unit of the vector
    input_x_gradient[a, s] = x_s · ∂ ln p(y_a) / ∂ x_s                           nats
    occlusion[a, s]        = log₂ p(y_a) − log₂ p(y_a | x_s replaced by x̄)       bits: above 0, the token helped

Where the answer is a number (task regress), that number takes the place of ln p and log₂ p, and all are in its unit.

x̄ is the mean of all tokens' vectors; for images, the mean pixel, which is 0. All three are computed from the trained
network in eval mode in the same way for every model, so that an Elman network and a Transformer can be compared on one
scale. The tensors of a source have the prefix `source.`.

The gradients differentiate one copy of the example for each answer, with one backward pass for many copies; in a causal
model a copy ends with the step of its answer. Occlusion runs one copy for each token.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from unrolled.inside.copies import (
    MAX_STEPS,
    InputSequence,
    answer_ranges,
    encode_vectors,
    frozen_parameters,
    input_sequences,
    leaf_copies,
    quantity,
    quantity_of_own,
    repeated,
)
from unrolled.inside.example import Example
from unrolled.models import Model
from unrolled.state import State

__all__ = ["attribution", "gradients", "occlusion"]


def attribution(model: Model, example: Example) -> dict[str, Tensor]:
    """Return gradient_norm, input_x_gradient and occlusion, (A, T) each, and (A, S) for a source.

    Args:
        model: the model, in eval mode.
        example: the example, without −1 in its answers.
    """
    return gradients(model, example) | occlusion(model, example)


def gradients(model: Model, example: Example) -> dict[str, Tensor]:
    """Return gradient_norm and input_x_gradient of every answer and token; see the module's docstring."""
    sequences = input_sequences(model, example)
    tensors = {
        f"{sequence.prefix}{name}": sequence.vectors.new_zeros(len(example.steps), len(sequence.vectors))
        for name in ("gradient_norm", "input_x_gradient")
        for sequence in sequences
    }
    with frozen_parameters(model), torch.enable_grad():
        for first, last, T in answer_ranges(model, example):
            lengths = [T, *(len(sequence.vectors) for sequence in sequences[1:])]
            leaves = [leaf_copies(each, last - first, n) for each, n in zip(sequences, lengths, strict=True)]
            state = encode_vectors(model, sequences[1], leaves[1]) if len(sequences) > 1 else None
            total = quantity_of_own(model, example, sequences[0], leaves[0], state, first, last).sum()
            for sequence, leaf, slope in zip(sequences, leaves, torch.autograd.grad(total, leaves), strict=True):
                steps = leaf.shape[1]
                tensors[f"{sequence.prefix}gradient_norm"][first:last, :steps] = slope.norm(dim=2)
                product = (slope * leaf.detach()).sum(dim=2)
                tensors[f"{sequence.prefix}input_x_gradient"][first:last, :steps] = product
    return tensors


@torch.no_grad()
def occlusion(model: Model, example: Example) -> dict[str, Tensor]:
    """Return the bits (or units of the number) that each answer loses when each token is replaced; see the module."""
    inputs, *sources = input_sequences(model, example)
    state = encode_vectors(model, sources[0], sources[0].vectors[None]) if sources else None
    whole = quantity(model, example, inputs, inputs.vectors[None], state)[0]  # (A,)
    losses = {"occlusion": _input_losses(model, example, inputs, state, whole)}
    for source in sources:
        losses[f"{source.prefix}occlusion"] = _source_losses(model, example, inputs, source, whole)
    unit = math.log(2) if example.quantity.is_log_prob else 1
    return {name: loss.T / unit for name, loss in losses.items()}


def _input_losses(model: Model, example: Example, inputs: InputSequence, state: State, whole: Tensor) -> Tensor:
    """Return the nats that replacing each input takes from each answer, (T, A).

    In a causal model, copies continue from the state before the first step that they replace.

    Args:
        whole: ln p of the answers, (A,).
    """
    T = len(inputs.vectors)
    losses, first = whole.new_zeros(T, len(whole)), 0
    while first < T:
        start = first if model.causal else 0
        last = min(T, first + max(1, MAX_STEPS // (T - start)))
        vectors = _replaced(inputs, first, last)[:, start:]
        later = example.steps >= start
        nats = quantity(model, example, inputs, vectors, repeated(state, last - first), start=start)
        losses[first:last, later] = whole[later] - nats
        if model.causal:
            _, state = model(example.inputs[:, first:last], state)
        first = last
    return losses


def _source_losses(
    model: Model, example: Example, inputs: InputSequence, source: InputSequence, whole: Tensor
) -> Tensor:
    """Return the nats that replacing each token of the source takes from each answer, (S, A)."""
    S, T = len(source.vectors), len(inputs.vectors)
    copies, losses = max(1, MAX_STEPS // (S + T)), []
    for first in range(0, S, copies):
        state = encode_vectors(model, source, _replaced(source, first, min(S, first + copies)))
        same = inputs.vectors.expand(min(S, first + copies) - first, -1, -1)
        losses.append(whole - quantity(model, example, inputs, same, state))
    return torch.cat(losses)


def _replaced(sequence: InputSequence, first: int, last: int) -> Tensor:
    """Return copies of the vectors, (last − first, T, D): each has the baseline at one of the steps [first, last)."""
    copies = sequence.vectors.expand(last - first, -1, -1).clone()
    copies[torch.arange(last - first), torch.arange(first, last)] = sequence.baseline
    return copies
