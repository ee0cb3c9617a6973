"""Decoding for the task classify: one forward pass a sequence, and the probability of each class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unrolled.data.encoding.batches import by_length
from unrolled.errors import printable
from unrolled.models import Model

__all__ = ["Classification", "ImageClassification", "Readable", "classify", "probabilities"]

A = TypeVar("A")
BATCH_TOKENS = 16_384  # padding included; no gradients are kept, so it may be larger than in training


@dataclass(frozen=True)
class Classification:
    """The answer for one text: its most probable label, that label's probability, and every label's."""

    text: str
    label: str
    probability: float
    probabilities: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)

    def shown(self) -> str:
        """As one line."""
        return f"{printable(self.label)}\t{self.probability:.3f}\t{printable(self.text)}"


@dataclass(frozen=True)
class ImageClassification:
    """The answer for one image, which is named by where it was read: as `Classification`."""

    image: str
    label: str
    probability: float
    probabilities: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)

    def shown(self) -> str:
        """As one line."""
        return f"{printable(self.label)}\t{self.probability:.3f}\t{printable(self.image)}"


class Readable(Protocol):
    """N sequences that a model can read in batches: of ids, or of an image's steps."""

    lengths: Tensor
    """(N,) steps of each."""

    def __len__(self) -> int: ...

    def pad(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the sequences (B,) as inputs (B, T) or (B, T, D), and their lengths (B,), None where all are T."""


@torch.inference_mode()
def probabilities(model: Model, sequences: Readable) -> NDArray[np.float64]:
    """Return the probability of each of the K classes for each of the N sequences, (N, K), in their order.

    The model should be in eval mode; sequences of like length share a batch.
    """
    device = next(model.parameters()).device
    found = torch.empty(len(sequences), model.num_outputs, dtype=torch.float64)
    for rows in by_length(sequences.lengths, BATCH_TOKENS):
        inputs, lengths = sequences.pad(rows)
        logits, _ = model(inputs.to(device), None, None if lengths is None else lengths.to(device))
        found[rows] = logits.cpu().double().softmax(dim=1)
    return found.numpy()


def classify(
    inputs: list[str],
    labels: tuple[str, ...],
    probability: NDArray[np.float64],
    answer: Callable[[str, str, float, dict[str, float]], A],
) -> list[A]:
    """Return the answers for `inputs` (texts, or where images stand), in order, from probabilities (N, K)."""
    return [
        answer(one, labels[best], row[best], dict(zip(labels, row, strict=True)))
        for one, row, best in zip(inputs, probability.tolist(), probability.argmax(axis=1).tolist(), strict=True)
    ]
