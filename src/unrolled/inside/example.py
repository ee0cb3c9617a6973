"""One example as a model takes it: what is read, and what is asked of it after which steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from unrolled.models import Model
from unrolled.state import State

__all__ = ["Example", "Source", "answer", "begin"]


@dataclass(frozen=True)
class Source:
    """A source: its text, its ids (1, S), and what each of them says, with the characters that it stands for."""

    text: str
    ids: Tensor
    tokens: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Example:
    """One example.

    Args:
        text: what was read. inputs: ids (1, T) or features (1, T, D). tokens: what each step reads, readable.
        spans: the characters of the text that each step stands for; empty where it is no text.
        steps: (A,) the step after which each answer is given, in rising order.
        answers: (A,) what each is asked for; −1 for what the model finds most probable.
        meanings: turns numbers of outputs into what they mean.
        source: what is read before, by a model that begins with one.
        truncated: what was left out, in a sentence.
        also: more tensors that a trace keeps: an image's pixels.
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
    also: Mapping[str, Tensor] = field(default_factory=dict)

    def to(self, device: torch.device) -> Example:
        """Return the example on a device."""
        source = self.source and replace(self.source, ids=self.source.ids.to(device))
        moved = {name: getattr(self, name).to(device) for name in ("inputs", "steps", "answers")}
        return replace(self, source=source, **moved)

    def asked(self, logits: Tensor) -> Example:
        """Return the example with every answer known: where it is −1, what logits (A, V) find most probable."""
        return replace(self, answers=torch.where(self.answers < 0, logits.argmax(dim=1), self.answers))


def begin(model: Model, example: Example) -> State:
    """Return the state in which the example begins: what the model makes of its source, or None."""
    return None if example.source is None else model.encode(example.source.ids)


def answer(model: Model, example: Example, state: State) -> Tensor:
    """Return the logits of each answer, (A, V)."""
    logits, _ = model(example.inputs, state)
    found: Tensor = logits if model.answer == "once" else logits[0, example.steps]
    return found
