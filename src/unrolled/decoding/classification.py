"""Decoding for the task classify: the probability of each class, in one forward pass a sequence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unrolled.data.encoding.batches import by_length
from unrolled.decoding.finite import refuse_infinite
from unrolled.models import Model
from unrolled.strings import one_line

__all__ = ["Classification", "ImageClassification", "Readable", "classify", "outputs", "probabilities"]

A = TypeVar("A")
BATCH_TOKENS = 16_384  # padding included; larger than in training, because no gradients are stored


@dataclass(frozen=True)
class Classification:
    """The answer for one text: its most probable label, that label's probability, and every label's."""

    text: str
    label: str
    probability: float
    probabilities: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary of JSON values."""
        return asdict(self)

    def shown(self) -> str:
        """Return one line: label, probability and input, separated by tabs."""
        return f"{one_line(self.label)}\t{self.probability:.3f}\t{one_line(self.text)}"


@dataclass(frozen=True)
class ImageClassification:
    """The answer for one image: as `Classification`. image: the file, and the position in it, that it was read from."""

    image: str
    label: str
    probability: float
    probabilities: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary of JSON values."""
        return asdict(self)

    def shown(self) -> str:
        """Return one line: label, probability and input, separated by tabs."""
        return f"{one_line(self.label)}\t{self.probability:.3f}\t{one_line(self.image)}"


class Readable(Protocol):
    """N sequences that a model can read in batches: of ids, or of the steps of images."""

    lengths: Tensor
    """(N,) steps of each sequence."""

    def __len__(self) -> int: ...

    def pad(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the sequences at indices (B,) as inputs, (B, T) or (B, T, D), and lengths, (B,) or None: all T."""


def probabilities(model: Model, sequences: Readable) -> NDArray[np.float64]:
    """Return the probability of each of the K classes for each of the N sequences, (N, K), in their order."""
    return torch.from_numpy(outputs(model, sequences)).softmax(dim=1).numpy()


@torch.inference_mode()
def outputs(model: Model, sequences: Readable) -> NDArray[np.float64]:
    """Return the K logits of the model for each of the N sequences, (N, K), in their order.

    Sequences of similar length share a batch.

    Args:
        model: answers once, in eval mode. sequences: N of them.
    """
    device = next(model.parameters()).device
    found = torch.empty(len(sequences), model.num_outputs, dtype=torch.float64)
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
) -> list[A]:
    """Return an answer for each of N inputs, in order.

    Args:
        inputs: texts, or the names of images.
        labels: of the K classes.
        probability: (N, K).
        answer: makes an answer from an input, its label, the label's probability, and every label's.

    Raises:
        CheckpointError: a probability is not finite.
    """
    refuse_infinite(probability)
    return [
        answer(name, labels[best], values[best], dict(zip(labels, values, strict=True)))
        for name, values, best in zip(inputs, probability.tolist(), probability.argmax(axis=1).tolist(), strict=True)
    ]
