"""Gradient of each answer with respect to the hidden state of each earlier step, layer by layer.

    gradient[a, s] = ‖∂ ln p(y_a) / ∂ h_s‖₂     through all later steps and all layers above

For a block of a Transformer, h is the block's output.

Where the gradient shrinks exponentially with the distance, long dependencies cannot be learned: it vanishes. A scan
gives no gradient with respect to a state inside it, so the reference backend takes the steps one by one here, and each
h is a node of the graph.
Bengio, Simard & Frasconi, "Learning long-term dependencies with gradient descent is difficult", 1994.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from unrolled.inside.copies import (
    answer_ranges,
    encode_vectors,
    frozen_parameters,
    input_sequences,
    leaf_copies,
    quantity_of_own,
)
from unrolled.inside.example import Example
from unrolled.inside.kinds import named
from unrolled.layers import Bahdanau, Block, Recurrent
from unrolled.models import Model

__all__ = ["by_distance", "gradient"]


def gradient(model: Model, example: Example) -> dict[str, Tensor]:
    """Return the gradient of every recurrent layer and block by name, (A, T), or (A, S) for an encoder's.

    Args:
        model: the model, in eval mode.
        example: the example, without −1 in its answers.
    """
    inputs, *sources = input_sequences(model, example)
    tensors: dict[str, Tensor] = {}
    with frozen_parameters(model), torch.enable_grad():
        for first, last, steps in answer_ranges(model, example):
            with _step_by_step(model) as states:
                leaves = [leaf_copies(source, last - first) for source in sources]
                states.phase = "encoder." if sources else ""
                state = encode_vectors(model, sources[0], leaves[0]) if sources else None
                states.phase = "decoder." if sources else ""
                vectors = leaf_copies(inputs, last - first, steps)
                total = quantity_of_own(model, example, inputs, vectors, state, first, last).sum()
            for name, value in _norms(total, states).items():  # the first range has the most steps
                whole = tensors.setdefault(name, value.new_zeros(len(example.steps), value.shape[1]))
                whole[first:last, : value.shape[1]] = value
    return tensors


def by_distance(values: Tensor, steps: Tensor) -> Tensor:
    """Return the mean of values (A, T) over the pairs of answer and step at each distance, (T,); NaN without one.

    Args:
        steps: step after which each answer is given, (A,).
    """
    T = values.shape[1]
    back = steps.unsqueeze(1) - torch.arange(T)  # (A, T)
    past = back >= 0
    sums = values.new_zeros(T).index_add_(0, back[past], values[past])
    return sums / torch.bincount(back[past], minlength=T)


def _norms(total: Tensor, states: _States) -> dict[str, Tensor]:
    """Return the norms of the gradients of `total` with respect to the hidden states, by name, (C, T); 0 if unused."""
    if not states.nodes:
        return {}
    norms: dict[str, dict[int, Tensor]] = {}
    nodes = [h for _, _, h in states.nodes]
    slopes = torch.autograd.grad(total, nodes, allow_unused=True, materialize_grads=True)
    for (name, t, h), slope in zip(states.nodes, slopes, strict=True):
        norms.setdefault(name, {})[t] = slope.view(len(h), -1, h.shape[-1]).norm(dim=2)
    return {name: torch.cat([by_step[t] for t in sorted(by_step)], dim=1) for name, by_step in norms.items()}


class _States:
    """Hidden states of a forward pass.

    phase: prefix of the names, set by the caller. nodes: name of the gradient, first step, and h of one step (C, H) or
    of several (C, T, H).
    """

    def __init__(self) -> None:
        self.phase = ""
        self.nodes: list[tuple[str, int, Tensor]] = []

    def add(self, name: str, t: int, h: Tensor) -> None:
        self.nodes.append((f"{self.phase}{name}gradient", t, h))


@contextmanager
def _step_by_step(model: nn.Module) -> Iterator[_States]:
    """Let every recurrent layer take its steps one by one on the reference backend until the block ends."""
    states, names = _States(), named(model)
    taken: dict[nn.Module, int] = {}  # steps so far, for a layer that a decoder calls once a step

    def forward(module: nn.Module, *args: Any, **kwargs: Any) -> tuple[Tensor, Any]:
        whole = type(module).forward
        arguments = inspect.signature(whole).bind(module, *args, **kwargs).arguments
        lowest: Any = module.layers.layers[0] if isinstance(module, Bahdanau) else module
        x, state, first = arguments["x"], arguments.get("state"), taken.get(module, 0)
        T = x.shape[1]
        taken[module] = first + T
        ys: list[Tensor] = [x] * T
        for t in reversed(range(T)) if getattr(module, "reverse", False) else range(T):
            ys[t], state = whole(**arguments | {"x": x[:, t : t + 1], "state": state, "lengths": None})
            own = state.layers[0] if isinstance(module, Bahdanau) else state
            states.add(names[module], first + t, lowest.summary(own))
        return torch.cat(ys, dim=1), state

    def add_output(module: nn.Module, args: tuple[Any, ...], returned: tuple[Tensor, Any]) -> None:
        states.add(names[module], 0, returned[0])

    recurrent = [module for module in model.modules() if isinstance(module, Recurrent)]
    stepped = [module for module in names if isinstance(module, Recurrent | Bahdanau)]
    handles = [module.register_forward_hook(add_output) for module in names if isinstance(module, Block)]
    backends = [layer.backend for layer in recurrent]
    for layer in recurrent:
        layer.backend = "reference"
    for module in stepped:
        module.forward = partial(forward, module)  # type: ignore[method-assign]  # hides the class's own
    try:
        yield states
    finally:
        for handle in handles:
            handle.remove()
        for module in stepped:
            del module.forward
        for layer, backend in zip(recurrent, backends, strict=True):
            layer.backend = backend
