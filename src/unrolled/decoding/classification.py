"""Decoding for the task classify: the probability of each class, in one forward pass a sequence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unrolled.data.encoding.batches import by_length
from unrolled.data.reading.arrays import allocate, blocks
from unrolled.decoding.finite import refuse_infinite
from unrolled.display import Answers, Displayed
from unrolled.models import Model
from unrolled.strings import one_line

__all__ = [
    "Classification",
    "ImageClassification",
    "Readable",
    "class_probabilities",
    "classify",
    "most_probable",
    "probabilities",
]

A = TypeVar("A")
BATCH_TOKENS = 16_384  # padding included; larger than in training, because no gradients are stored


@dataclass(frozen=True, repr=False)
class Classification(Displayed):
    """The answer for one text: its most probable label, that label's probability, and those of the others.

    `probabilities` are in the order of the run's labels; with the option top, the largest ones in descending order.
    """

    text: str
    label: str
    probability: float
    probabilities: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary of JSON values."""
        return asdict(self)

    def shown(self, top: int = 1) -> str:
        """Return a line for each of the `top` classes: label, probability and input, separated by tabs."""
        return _lines(self.probabilities, top, self.text)


@dataclass(frozen=True, repr=False)
class ImageClassification(Displayed):
    """The answer for one image, with the fields of `Classification`.

    Args:
        image: the file that it was read from, and its position there.
    """

    image: str
    label: str
    probability: float
    probabilities: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary of JSON values."""
        return asdict(self)

    def shown(self, top: int = 1) -> str:
        """Return a line for each of the `top` classes: label, probability and input, separated by tabs."""
        return _lines(self.probabilities, top, self.image)


class Readable(Protocol):
    """N sequences that a model can read in batches: of ids, or of the steps of images."""

    lengths: Tensor
    """(N,) steps of each sequence."""

    def __len__(self) -> int: ...

    def pad(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the sequences at indices (B,) as inputs, (B, T) or (B, T, D), and lengths, (B,) or None: all T."""


def probabilities(model: Model, sequences: Readable) -> NDArray[np.float64]:
    """Return the probability of each of the K classes for each of the N sequences, (N, K), in their order."""
    found = torch.from_numpy(outputs(model, sequences))
    for some in blocks(len(found)):
        found[some] = found[some].softmax(dim=1)
    return found.numpy()


@torch.inference_mode()
def outputs(model: Model, sequences: Readable) -> NDArray[np.float64]:
    """Return the K logits of the model for each of the N sequences, (N, K), in their order.

    Sequences of similar length share a batch.

    Args:
        model: a model that answers once, in eval mode.
        sequences: N sequences.
    """
    device = next(model.parameters()).device
    if len(sequences) == 1:  # without the 60 µs that batches take, which a small network needs for its whole answer
        inputs, _ = sequences.pad(torch.zeros(1, dtype=torch.int64))
        logits, _ = model(inputs.to(device))
        return np.asarray(logits.double().numpy(force=True))
    found = torch.from_numpy(allocate((len(sequences), model.num_outputs), np.float64))
    for indices in by_length(sequences.lengths, BATCH_TOKENS):
        inputs, lengths = sequences.pad(indices)
        logits, _ = model(inputs.to(device), None, None if lengths is None else lengths.to(device))
        found[indices] = logits.cpu().double()
    return found.numpy()


def classify(
    inputs: list[str],
    labels: tuple[str, ...],
    probability: NDArray[np.float64],
    answer: Callable[[str, str, float, dict[str, float]], A],
    top: int | None = None,
) -> Answers[A]:
    """Return an answer for each of N inputs, in order.

    Args:
        inputs: texts, or the names of images.
        labels: labels of the K classes.
        probability: (N, K).
        answer: makes an answer from an input, its label, the label's probability, and those of several labels.
        top: see `class_probabilities`.

    Raises:
        CheckpointError: a probability is not finite.
    """
    refuse_infinite(probability)
    return Answers(
        answer(name, labels[best], values[best], class_probabilities(labels, values, top))
        for name, values, best in zip(inputs, probability.tolist(), probability.argmax(axis=1).tolist(), strict=True)
    )


def class_probabilities(labels: Sequence[str], values: Sequence[float], top: int | None) -> dict[str, float]:
    """Return the probabilities by label, of the K classes in their order or of the `top` most probable ones, sorted."""
    if top is None:
        return dict(zip(labels, values, strict=True))
    return dict(most_probable(dict(zip(labels, values, strict=True)), top))


def most_probable(probabilities: dict[str, float], top: int) -> list[tuple[str, float]]:
    """Return the `top` most probable labels with their probabilities, sorted; of equal ones the first comes first."""
    return sorted(probabilities.items(), key=lambda item: -item[1])[:top]


def _lines(probabilities: dict[str, float], top: int, name: str) -> str:
    ranked = most_probable(probabilities, top)
    return "\n".join(f"{one_line(label)}\t{value:.3f}\t{one_line(name)}" for label, value in ranked)
