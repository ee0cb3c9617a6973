"""What training needs to know of the task classify: its batches, its loss, and its score on the validation split."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from unrolled.data.encoding.batches import Batches
from unrolled.decoding.classification import Readable, probabilities
from unrolled.models import Model
from unrolled.training.loop import Batch
from unrolled.training.progress import Score

__all__ = ["ClassificationLoader", "balanced", "loss_nats", "score", "score_of"]


class ClassificationLoader:
    """Batches of sequences of like length, with a class each.

    Args:
        sequences: N sequences of tokens, or of an image's steps. targets: (N,) class indices.
        batch_tokens: most tokens in a batch, padding included. seed: of the order. device: where batches go.
    """

    def __init__(
        self, sequences: Readable, targets: Tensor, *, batch_tokens: int, seed: int, device: torch.device
    ) -> None:
        self.sequences, self.targets, self.device = sequences, targets, device
        self.batches = Batches(sequences.lengths, batch_tokens, seed)

    def count(self, epoch: int) -> int:
        """How many batches the epoch has."""
        return self.batches.count(epoch)

    def batch(self, epoch: int, index: int) -> Batch:
        """One of them: a pure function of (seed, epoch, index)."""
        rows = self.batches.rows(epoch, index)
        inputs, lengths = self.sequences.pad(rows)
        inputs, targets = inputs.to(self.device), self.targets[rows].to(self.device)
        if lengths is None:
            return Batch(inputs, None, targets, len(rows), inputs.shape[0] * inputs.shape[1])
        return Batch(inputs, lengths.to(self.device), targets, len(rows), int(lengths.sum()))


def loss_nats(
    logits: Tensor, targets: Tensor, *, label_smoothing: float = 0.0, class_weights: Tensor | None = None
) -> Tensor:
    """−Σ log p(target): logits (B, K) and targets (B,) -> the summed nats of the batch.

    Args:
        logits, targets: of the batch.
        label_smoothing: share of each target that is spread over all K classes (Szegedy et al. 2016).
        class_weights: (K,), what each example's nats are multiplied with.
    """
    return F.cross_entropy(logits, targets, weight=class_weights, reduction="sum", label_smoothing=label_smoothing)


def balanced(targets: Tensor, num_classes: int) -> Tensor:
    """N / (K n_k) for each of K classes: every class weighs the same in all, an example 1 on the average; (K,)."""
    return len(targets) / (num_classes * torch.bincount(targets, minlength=num_classes))


def score(model: Model, sequences: Readable, targets: Tensor) -> Score:
    """Return mean loss and accuracy of the model on N sequences and their classes (N,)."""
    return score_of(probabilities(model, sequences), targets)


def score_of(found: NDArray[np.float64], targets: Tensor) -> Score:
    """Return mean loss and accuracy of the probabilities (N, K) for the classes (N,)."""
    probability = torch.from_numpy(found)
    right = probability.argmax(dim=1) == targets
    nats = -probability.gather(1, targets.unsqueeze(1)).clamp(min=torch.finfo(torch.float64).tiny).log()
    return Score(loss_nats=float(nats.mean()), accuracy=float(right.double().mean()))
