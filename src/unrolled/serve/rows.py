"""Rows: sequences of one model that are read together, a step at a time; rows join and leave at every step.

The state of a row is a value. Before a step the states of its rows are joined to a batch, after it each row is at a
place in the new one. Where the next step has the same rows, nothing is copied. The answers of a recurrent model with
compiled cells have the bits of its lone run, whatever the other rows and their lengths (law *batch invariance*); those
of attention stay within its budget. docs/decisions/0041-serve.md has the experiment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unrolled.data.encoding.tokenizers import PAD
from unrolled.decoding.finite import refuse_infinite
from unrolled.errors import UnrolledError
from unrolled.models import Features, Model
from unrolled.state import State, join, select

__all__ = ["Row", "Slot", "initial", "settled", "step"]

Inputs = list[Any]
Logits = NDArray[np.float32]


class Slot(NamedTuple):
    """The place of a row in the state of a batch.

    Args:
        batch: the state.
        place: index of the row.
        size: number of rows.
    """

    batch: State
    place: int
    size: int


class Row:
    """A sequence under way.

    Args:
        state: its state, of a batch of one.
        inputs: inputs that the model has yet to read: ids, or vectors of features.
        context: the ids behind the state, of a model with a maximum length; None for others.

    A model with a maximum length continues a full context from its last half, which is read again, as `Cursor` does.
    """

    def __init__(self, state: State | Slot, inputs: Inputs, context: list[int] | None = None) -> None:
        self.state, self.inputs, self.context = state, inputs, context
        self.position = 0  # in inputs
        self.again = 0  # inputs at the position that are read a second time
        self.error: UnrolledError | None = None

    @property
    def waiting(self) -> int:
        """Number of inputs that the model has yet to read."""
        return len(self.inputs) - self.position

    def add(self, token: int) -> None:
        """Add an input."""
        self.inputs = [*self.inputs[self.position :], token]
        self.position = 0

    def take(self, model: Model, start: State, most: int) -> tuple[Inputs, int]:
        """Return the inputs of the next step, at most so many, and the number of them that are read a second time.

        Args:
            model: the model.
            start: its initial state.
            most: maximum number of inputs.
        """
        count, again = min(self.waiting, most), 0
        if self.context is not None and model.max_length is not None:
            if not self.again and len(self.context) == model.max_length:
                self.context = [*self.context, self.inputs[self.position]][-max(1, model.max_length // 2) :]
                self.inputs = [*self.context, *self.inputs[self.position + 1 :]]
                self.position, self.again, self.state = 0, len(self.context), start
            if self.again:
                count = min(most, self.again)
                self.again -= count
                again = count - (self.again == 0)  # the last of them is new
            else:
                count = min(count, model.max_length - len(self.context))
                self.context = [*self.context, *self.inputs[self.position : self.position + count]]
        taken = self.inputs[self.position : self.position + count]
        self.position += count
        return taken, again

    def receive(self, logits: Logits) -> None:
        """Take the logits after new inputs, (n, V) of a model that answers at each step, (1, V) of others."""
        raise NotImplementedError


@torch.inference_mode()
def initial(model: Model, state: State = None) -> State:
    """Return the state of one sequence of which nothing was read, as a value that can be joined with others.

    Args:
        model: the model.
        state: the state after a source, of a model with an encoder.
    """
    inputs = torch.zeros(1, 1, model.inputs.size) if isinstance(model.inputs, Features) else torch.full((1, 1), PAD)
    device = next(model.parameters()).device
    return model(inputs.to(device), state, torch.zeros(1, dtype=torch.long, device=device))[1]


@torch.inference_mode()
def settled(state: State | Slot) -> State:
    """Return the state of a row as a batch of one."""
    return select(state.batch, [state.place]) if isinstance(state, Slot) else state


@torch.inference_mode()
def step(model: Model, start: State, rows: Sequence[Row], most: int) -> None:
    """Read the next inputs of every row, at most `most` of each, in one call of the model.

    A row whose logits are not finite has an error afterwards; the others are not affected.

    Args:
        model: the model, in eval mode.
        start: its initial state.
        rows: at least one, each with inputs that wait.
        most: maximum number of inputs of each row.
    """
    taken = {id(row): row.take(model, start, most) for row in rows}  # before the states: one may begin anew
    rows, state = _joined(rows)
    inputs = [taken[id(row)][0] for row in rows]
    counts = [len(each) for each in inputs]
    lengths = None if len({*counts}) == 1 else torch.tensor(counts)
    device = next(model.parameters()).device
    batch = _padded(model, inputs, max(counts)).to(device)
    found, after = model(batch, state, None if lengths is None else lengths.to(device))
    logits = found.float().cpu().numpy()
    for index, row in enumerate(rows):
        row.state = Slot(after, index, len(rows))
        own = logits[index : index + 1] if logits.ndim == 2 else logits[index, taken[id(row)][1] : counts[index]]
        if not len(own):
            continue
        try:
            refuse_infinite(own)
        except UnrolledError as error:
            row.error = error
        else:
            row.receive(own)


def _joined(rows: Sequence[Row]) -> tuple[list[Row], State]:
    """Return the rows, those of one batch together and in its order, and their joined state."""
    groups: dict[int, list[Row]] = {}
    alone: list[Row] = []
    for row in rows:
        if isinstance(row.state, Slot):
            groups.setdefault(id(row.state.batch), []).append(row)
        else:
            alone.append(row)
    ordered: list[Row] = []
    parts: list[State] = []
    for group in groups.values():
        group.sort(key=_place)
        places, first = [*map(_place, group)], _slot(group[0])
        ordered += group
        parts.append(first.batch if places == [*range(first.size)] else select(first.batch, places))
    parts += [row.state for row in alone]
    return [*ordered, *alone], parts[0] if len(parts) == 1 else join(parts)


def _slot(row: Row) -> Slot:
    assert isinstance(row.state, Slot)
    return row.state


def _place(row: Row) -> int:
    return _slot(row).place


def _padded(model: Model, inputs: Sequence[Inputs], longest: int) -> Tensor:
    """Return inputs as a batch: ids (B, T), or features (B, T, D)."""
    if isinstance(model.inputs, Features):
        vectors = torch.zeros(len(inputs), longest, model.inputs.size)
        for index, each in enumerate(inputs):
            vectors[index, : len(each)] = torch.tensor(each)
        return vectors
    return torch.tensor([[*each, *[PAD] * (longest - len(each))] for each in inputs])
