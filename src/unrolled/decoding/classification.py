"""Decoding for the task classify: one forward pass a sequence, and the probability of each class."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unrolled.data.batches import Sequences, by_length
from unrolled.models import Model

__all__ = ["Classification", "classify", "probabilities"]

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


@torch.inference_mode()
def probabilities(model: Model, sequences: Sequences) -> NDArray[np.float64]:
    """Return the probability of each of the K classes for each of the N sequences, (N, K), in their order.

    The model should be in eval mode; sequences of like length share a batch.
    """
    device = next(model.parameters()).device
    found = torch.empty(len(sequences), model.num_outputs, dtype=torch.float64)
    for rows in by_length(sequences.lengths, BATCH_TOKENS):
        ids, lengths = sequences.pad(rows)
        logits, _ = model(ids.to(device), None, lengths.to(device))
        found[rows] = logits.cpu().double().softmax(dim=1)
    return found.numpy()


def classify(texts: list[str], labels: tuple[str, ...], probability: NDArray[np.float64]) -> list[Classification]:
    """Return the answers for `texts`, in their order, from their probabilities (N, K) of the K labels."""
    return [
        Classification(text, labels[best], row[best], dict(zip(labels, row, strict=True)))
        for text, row, best in zip(texts, probability.tolist(), probability.argmax(axis=1).tolist(), strict=True)
    ]
