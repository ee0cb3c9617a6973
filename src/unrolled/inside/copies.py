"""Copies of an example as a batch, with token vectors that can be differentiated or replaced.

A forward hook lets the model's embedding return given vectors for its ids; the rest of the model runs unchanged,
whichever model it is. For an image, the vectors are the steps themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from unrolled.data.encoding.tokenizers import SPECIAL
from unrolled.inside.example import Example
from unrolled.models import Model
from unrolled.state import State, select

__all__ = [
    "MAX_STEPS",
    "InputSequence",
    "answer_ranges",
    "encode_vectors",
    "frozen_parameters",
    "input_sequences",
    "leaf_copies",
    "quantity",
    "quantity_of_own",
    "repeated",
]

MAX_STEPS = 1 << 12
"""Maximum number of steps in one batch, summed over its copies."""


@dataclass(frozen=True)
class InputSequence:
    """One of the sequences that an example feeds the model: the input, or the source before it.

    Args:
        prefix: prefix of the names of its tensors, "" or "source.".
        embedding: the module that maps its ids to vectors; None where the inputs are vectors.
        inputs: (1, T) ids or (1, T, D).
        vectors: (T, D).
    """

    prefix: str
    embedding: nn.Module | None
    inputs: Tensor
    vectors: Tensor

    @property
    def baseline(self) -> Tensor:
        """Vector (D,) that replaces a token in occlusion: the mean of all tokens' vectors, or the mean pixel, 0."""
        if self.embedding is None:
            return torch.zeros_like(self.vectors[0])
        weight = self.embedding.get_parameter("weight").detach()
        return weight[len(SPECIAL) :].mean(dim=0) if len(weight) > len(SPECIAL) else weight.mean(dim=0)

    def ids(self, vectors: Tensor, start: int = 0) -> Tensor:
        """Return the model's inputs for vectors (C, T', D) of the steps from `start` on: ids (C, T') or the vectors."""
        if self.embedding is None:
            return vectors
        C, T, _ = vectors.shape
        return self.inputs[:, start : start + T].expand(C, T)

    @contextmanager
    def replaced_by(self, vectors: Tensor) -> Iterator[None]:
        """Let the embedding return vectors (C, T', D) for its first T' steps until the block ends."""
        if self.embedding is None:
            yield
            return
        T = vectors.shape[1]
        handle = self.embedding.register_forward_hook(
            lambda module, inputs, output: (
                torch.cat([vectors, output[:, T:]], dim=1) if output.shape[1] > T else vectors
            )
        )
        try:
            yield
        finally:
            handle.remove()


def input_sequences(model: Model, example: Example) -> list[InputSequence]:
    """Return the input of an example, then its source where it has one."""

    def sequence(prefix: str, embedding: nn.Module | None, inputs: Tensor) -> InputSequence:
        with torch.no_grad():
            vectors = inputs if embedding is None else embedding(inputs)
        return InputSequence(prefix, embedding, inputs, vectors[0].detach())

    sequences = [sequence("", model.embedding, example.inputs)]
    if example.source is not None:
        sequences.append(sequence("source.", model.source_embedding or model.embedding, example.source.ids))
    return sequences


def encode_vectors(model: Model, source: InputSequence, vectors: Tensor) -> State:
    """Return the states of C copies after their sources, from the sources' vectors (C, S, D)."""
    with source.replaced_by(vectors):
        return model.encode(source.ids(vectors))


def quantity(
    model: Model, example: Example, inputs: InputSequence, vectors: Tensor, state: State = None, *, start: int = 0
) -> Tensor:
    """Return the explained quantity of each answer within the steps of C copies, (C, A').

    Args:
        vectors: (C, T', D) of the inputs from step `start` on.
        state: state of the copies before that step.
    """
    with inputs.replaced_by(vectors):
        logits, _ = model(inputs.ids(vectors, start), state)
    logits = logits / example.temperature
    within = (example.steps >= start) & (example.steps < start + vectors.shape[1])
    answers = example.answers[within]
    logits = logits.unsqueeze(1) if model.answer == "once" else logits[:, example.steps[within] - start]
    every = example.quantity.of(logits).expand(-1, len(answers), -1)
    return every.gather(2, answers.expand(len(every), -1).unsqueeze(2)).squeeze(2)


@contextmanager
def frozen_parameters(model: nn.Module) -> Iterator[None]:
    """Disable gradients of the model's own parameters until the block ends."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


def quantity_of_own(
    model: Model, example: Example, inputs: InputSequence, vectors: Tensor, state: State, first: int, last: int
) -> Tensor:
    """Return the quantity of the answers [first, last), each from its own copy, (C,) with C = last − first."""
    with inputs.replaced_by(vectors):
        logits, _ = model(inputs.ids(vectors), state)
    logits = logits / example.temperature
    if model.answer == "each":
        logits = logits[torch.arange(last - first), example.steps[first:last]]
    return example.quantity.of(logits).gather(1, example.answers[first:last].unsqueeze(1)).squeeze(1)


def leaf_copies(sequence: InputSequence, copies: int, steps: int | None = None) -> Tensor:
    """Return copies of the first steps' vectors (default: all), (C, T', D), as a leaf that requires a gradient."""
    return sequence.vectors[:steps].expand(copies, -1, -1).clone().requires_grad_()


def answer_ranges(model: Model, example: Example) -> Iterator[tuple[int, int, int]]:
    """Yield ranges of answers [first, last) to differentiate together, and the steps T' that their copies need."""
    T, S = example.inputs.shape[1], 0 if example.source is None else example.source.ids.shape[1]
    steps = example.steps.tolist()
    last = len(steps)
    while last:  # from the last answers, which need the most steps
        needed = steps[last - 1] + 1 if model.causal else T
        first = max(0, last - max(1, MAX_STEPS // (needed + S)))
        yield first, last, needed
        last = first


def repeated(state: State, copies: int) -> State:
    """Return the state of a batch of copies, from the state of one sequence."""
    return None if state is None else select(state, [0] * copies)
