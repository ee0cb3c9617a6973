"""Copies of an example as a batch, with the vectors of its tokens in our hands: to differentiate, or to replace one.

A model's embedding still looks its ids up, and then returns the vectors that it is given here, by a hook: the rest of
the model is as it is, whichever row it is of. Of an image the vectors are the steps themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unrolled.data.encoding.tokenizers import SPECIAL
from unrolled.inside.example import Example
from unrolled.models import Model
from unrolled.state import State, select

__all__ = [
    "AT_ONCE",
    "Side",
    "begun",
    "copied",
    "copies_of",
    "log_prob",
    "own_log_prob",
    "sides",
    "stretches",
    "unlearning",
]

AT_ONCE = 1 << 12
"""Steps that are computed together, all copies counted."""


@dataclass(frozen=True)
class Side:
    """What an example reads in one place: its inputs, or the source before them.

    Args:
        prefix: of its tensors' names, "" or "source.".
        embedding: what turns its ids into vectors; None where the inputs are vectors.
        inputs: (1, T) ids or (1, T, D). vectors: (T, D).
    """

    prefix: str
    embedding: nn.Module | None
    inputs: Tensor
    vectors: Tensor

    @property
    def nothing(self) -> Tensor:
        """The vector that says least, (D,): the mean of all tokens', or the mean pixel, 0."""
        if self.embedding is None:
            return torch.zeros_like(self.vectors[0])
        weight = self.embedding.get_parameter("weight").detach()
        return weight[len(SPECIAL) :].mean(dim=0) if len(weight) > len(SPECIAL) else weight.mean(dim=0)

    def ids(self, vectors: Tensor, start: int = 0) -> Tensor:
        """Return the inputs of as many copies, and as many steps from `start` on, as there are vectors (C, T', D)."""
        if self.embedding is None:
            return vectors
        C, T, _ = vectors.shape
        return self.inputs[:, start : start + T].expand(C, T)

    @contextmanager
    def saying(self, vectors: Tensor) -> Iterator[None]:
        """Let the embedding return vectors (C, T', D) for its first T' steps until the block ends."""
        if self.embedding is None:
            yield
            return
        T = vectors.shape[1]
        handle = self.embedding.register_forward_hook(
            lambda part, given, said: torch.cat([vectors, said[:, T:]], dim=1) if said.shape[1] > T else vectors
        )
        try:
            yield
        finally:
            handle.remove()


def sides(model: Model, example: Example) -> list[Side]:
    """Return what the example reads: its inputs first, then its source where it has one."""

    def side(prefix: str, embedding: nn.Module | None, inputs: Tensor) -> Side:
        with torch.no_grad():
            vectors = inputs if embedding is None else embedding(inputs)
        return Side(prefix, embedding, inputs, vectors[0].detach())

    found = [side("", model.embedding, example.inputs)]
    if example.source is not None:
        found.append(side("source.", model.source_embedding or model.embedding, example.source.ids))
    return found


def begun(model: Model, source: Side, vectors: Tensor) -> State:
    """Return the states in which C copies begin, whose sources' vectors are (C, S, D)."""
    with source.saying(vectors):
        return model.encode(source.ids(vectors))


def log_prob(
    model: Model, example: Example, inputs: Side, vectors: Tensor, state: State = None, *, start: int = 0
) -> Tensor:
    """Return ln p of each answer that is given within the steps of C copies, (C, A').

    Args:
        vectors: (C, T', D) of the inputs from step `start` on. state: in which the copies begin.
    """
    with inputs.saying(vectors):
        logits, _ = model(inputs.ids(vectors, start), state)
    within = (example.steps >= start) & (example.steps < start + vectors.shape[1])
    asked = example.answers[within]
    logits = logits.unsqueeze(1) if model.answer == "once" else logits[:, example.steps[within] - start]
    return -F.cross_entropy(logits.transpose(1, 2), asked.expand(len(logits), -1), reduction="none")


@contextmanager
def unlearning(model: nn.Module) -> Iterator[None]:
    """Ask for no gradient of the model's own parameters until the block ends."""
    wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)


def own_log_prob(
    model: Model, example: Example, inputs: Side, vectors: Tensor, state: State, first: int, last: int
) -> Tensor:
    """Return ln p of the answers from `first` to `last`, each by a copy of its own, (C,); see `log_prob`."""
    with inputs.saying(vectors):
        logits, _ = model(inputs.ids(vectors), state)
    if model.answer == "each":
        logits = logits[torch.arange(last - first), example.steps[first:last]]
    return -F.cross_entropy(logits, example.answers[first:last], reduction="none")


def copies_of(side: Side, copies: int, steps: int | None = None) -> Tensor:
    """Return the vectors of the first steps (default: all), once a copy, to be differentiated: (C, T', D)."""
    return side.vectors[:steps].expand(copies, -1, -1).clone().requires_grad_()


def stretches(model: Model, example: Example) -> Iterator[tuple[int, int, int]]:
    """Answers [first, last) to be differentiated together, and the steps T' that their copies need."""
    T, S = example.inputs.shape[1], 0 if example.source is None else example.source.ids.shape[1]
    steps = example.steps.tolist()
    last = len(steps)
    while last:  # from the last, which need the most steps
        needed = steps[last - 1] + 1 if model.causal else T
        first = max(0, last - max(1, AT_ONCE // (needed + S)))
        yield first, last, needed
        last = first


def copied(state: State, copies: int) -> State:
    """Return a state of one row as that of so many."""
    return None if state is None else select(state, [0] * copies)
