"""Gradient: how much an answer still depends on the hidden state of each earlier step, layer by layer.

    gradient[a, s] = ‖∂ ln p(y_a) / ∂ h_s‖₂     all that h_s does, through later steps and through the layers above

Of a Transformer's block, h is what it puts out.

Where it falls as fast as the distance grows, what is far away cannot be learned: gradients vanish. A scan gives no
gradient of a state inside it, so here the reference takes its steps one by one, and each h is a node of the graph.
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

from unrolled.inside.copies import begun, copies_of, own_log_prob, sides, stretches, unlearning
from unrolled.inside.example import Example
from unrolled.inside.kinds import named
from unrolled.layers import Bahdanau, Block, Recurrent
from unrolled.models import Model

__all__ = ["by_distance", "gradient"]


def gradient(model: Model, example: Example) -> dict[str, Tensor]:
    """Return the gradient of every recurrent layer and block by name, (A, T), or (A, S) of an encoder's.

    Args:
        model: in eval mode. example: with all of its answers known.
    """
    inputs, *before = sides(model, example)
    found: dict[str, Tensor] = {}
    with unlearning(model), torch.enable_grad():
        for first, last, steps in stretches(model, example):
            with _step_by_step(model) as states:
                leaves = [copies_of(side, last - first) for side in before]
                states.phase = "encoder." if before else ""
                state = begun(model, before[0], leaves[0]) if before else None
                states.phase = "decoder." if before else ""
                vectors = copies_of(inputs, last - first, steps)
                asked = own_log_prob(model, example, inputs, vectors, state, first, last).sum()
            for name, value in _lengths(asked, states).items():  # the first stretch has the most steps
                whole = found.setdefault(name, value.new_zeros(len(example.steps), value.shape[1]))
                whole[first:last, : value.shape[1]] = value
    return found


def by_distance(values: Tensor, steps: Tensor) -> Tensor:
    """Return the mean of values (A, T) at each distance back from the answer's step, (T,); NaN where there is none.

    Args:
        steps: (A,) the step after which each answer is given.
    """
    T = values.shape[1]
    back = steps.unsqueeze(1) - torch.arange(T)  # (A, T)
    seen = back >= 0
    sums = values.new_zeros(T).index_add_(0, back[seen], values[seen])
    return sums / torch.bincount(back[seen], minlength=T)


def _lengths(asked: Tensor, states: _States) -> dict[str, Tensor]:
    """How long the gradients of the hidden states are, by name, (C, T); 0 where there is none."""
    if not states.nodes:
        return {}
    found: dict[str, dict[int, Tensor]] = {}
    nodes = [h for _, _, h in states.nodes]
    slopes = torch.autograd.grad(asked, nodes, allow_unused=True, materialize_grads=True)
    for (name, t, h), slope in zip(states.nodes, slopes, strict=True):
        found.setdefault(name, {})[t] = slope.view(len(h), -1, h.shape[-1]).norm(dim=2)
    return {name: torch.cat([every[t] for t in sorted(every)], dim=1) for name, every in found.items()}


class _States:
    """The hidden states: the name of their gradient, the first step, and h of it, (C, H), or of more, (C, T, H)."""

    def __init__(self) -> None:
        self.phase = ""
        self.nodes: list[tuple[str, int, Tensor]] = []

    def note(self, name: str, t: int, h: Tensor) -> None:
        self.nodes.append((f"{self.phase}{name}gradient", t, h))


@contextmanager
def _step_by_step(model: nn.Module) -> Iterator[_States]:
    """Let every recurrent layer take its steps one by one, on the reference, until the block ends."""
    states, names = _States(), named(model)
    taken: dict[nn.Module, int] = {}  # steps so far, of a layer that a decoder calls once a step

    def forward(part: nn.Module, *args: Any, **kwargs: Any) -> tuple[Tensor, Any]:
        whole = type(part).forward
        given = inspect.signature(whole).bind(part, *args, **kwargs).arguments
        lowest: Any = part.layers.layers[0] if isinstance(part, Bahdanau) else part
        x, state, first = given["x"], given.get("state"), taken.get(part, 0)
        T = x.shape[1]
        taken[part] = first + T
        ys: list[Tensor] = [x] * T
        for t in reversed(range(T)) if getattr(part, "reverse", False) else range(T):
            ys[t], state = whole(**given | {"x": x[:, t : t + 1], "state": state, "lengths": None})
            own = state.layers[0] if isinstance(part, Bahdanau) else state
            states.note(names[part], first + t, lowest.summary(own))
        return torch.cat(ys, dim=1), state

    def note(part: nn.Module, args: tuple[Any, ...], returned: tuple[Tensor, Any]) -> None:
        states.note(names[part], 0, returned[0])

    recurrent = [part for part in model.modules() if isinstance(part, Recurrent)]
    taking = [part for part in names if isinstance(part, Recurrent | Bahdanau)]
    handles = [part.register_forward_hook(note) for part in names if isinstance(part, Block)]
    backends = [part.backend for part in recurrent]
    for layer in recurrent:
        layer.backend = "reference"
    for part in taking:
        part.forward = partial(forward, part)  # type: ignore[method-assign]  # it hides the class's own
    try:
        yield states
    finally:
        for handle in handles:
            handle.remove()
        for part in taking:
            del part.forward
        for layer, backend in zip(recurrent, backends, strict=True):
            layer.backend = backend
