"""One example in the form that a model takes: the input, and the answers after some of its steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from unrolled.models import Model
from unrolled.state import State

__all__ = ["LOG_PROB", "Example", "Quantity", "Source", "answer_logits", "encode_source"]


class Quantity(NamedTuple):
    """The number that a trace explains about an answer, as a function of the model's outputs.

    Args:
        name: name of its tensor: "log_prob", in nats, or "value", a predicted number in its unit.
        of: maps outputs (…, V) to the number of each, (…, V).
    """

    name: Literal["log_prob", "value"]
    of: Callable[[Tensor], Tensor]

    @property
    def is_log_prob(self) -> bool:
        """True for the logarithm of a probability, False for a predicted number."""
        return self.name == "log_prob"


LOG_PROB = Quantity("log_prob", lambda logits: logits.log_softmax(dim=-1))
"""The log-probability of one output among all."""


@dataclass(frozen=True)
class Source:
    """Source of a translation.

    Args:
        text: the source as text.
        ids: (1, S).
        tokens: the S tokens in readable form.
        spans: the characters [start, end) of the text that each token covers.
    """

    text: str
    ids: Tensor
    tokens: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Example:
    """Input of a model with the answers to explain.

    Args:
        text: the input as text.
        inputs: ids (1, T) or features (1, T, D).
        tokens: the input of each step in readable form.
        spans: the characters [start, end) of the text that each step covers; empty where the input is not text.
        steps: (A,) the step after which each answer is given, ascending.
        answers: (A,) the output index of each answer; −1 for the most probable output.
        meanings: maps output indices to labels, tags or tokens.
        source: read before the input, by a model with an encoder or a GPT that translates.
        truncated: a sentence on the tokens that were left out; "" for none.
        unknown: a sentence on the tokens that are not in the vocabulary; "" for none.
        temperature: divisor of the logits.
        quantity: the number that is explained about each answer.
        also: further tensors for the trace, such as an image's pixels.
        beam: the token of each node of a beam search, whose tensors are in `also`; empty for none.
    """

    text: str
    inputs: Tensor
    tokens: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    steps: Tensor
    answers: Tensor
    meanings: Callable[[Iterable[int]], Sequence[str]]
    source: Source | None = None
    truncated: str = ""
    unknown: str = ""
    temperature: float = 1.0
    quantity: Quantity = LOG_PROB
    also: Mapping[str, Tensor] = field(default_factory=dict)
    beam: tuple[str, ...] = ()

    def to(self, device: torch.device) -> Example:
        """Return the example on a device."""
        source = self.source and replace(self.source, ids=self.source.ids.to(device))
        moved = {name: getattr(self, name).to(device) for name in ("inputs", "steps", "answers")}
        return replace(self, source=source, **moved)

    def with_answers(self, logits: Tensor) -> Example:
        """Return the example with every −1 in `answers` replaced by the argmax of its logits (A, V)."""
        return replace(self, answers=torch.where(self.answers < 0, logits.argmax(dim=1), self.answers))


def encode_source(model: Model, example: Example) -> State:
    """Return the state after the example's source, or None where it has no source."""
    return None if example.source is None else model.encode(example.source.ids)


def answer_logits(model: Model, example: Example, state: State) -> Tensor:
    """Return the logits of each answer, (A, V), from the state before the input."""
    logits, _ = model(example.inputs, state)
    of_answers: Tensor = logits.expand(len(example.steps), -1) if model.answer == "once" else logits[0, example.steps]
    return of_answers / example.temperature
