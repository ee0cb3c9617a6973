"""Batches, loss and validation score of the task classify."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from unrolled.data.encoding.batches import Batches
from unrolled.decoding.classification import Readable, probabilities
from unrolled.evaluation.classes import f1_of
from unrolled.kernels.cross_entropy import cross_entropy
from unrolled.models import Model
from unrolled.training.batch import Batch
from unrolled.training.progress import Score

__all__ = ["ClassificationLoader", "as_targets", "class_weights", "loss_nats", "score", "score_of"]


class ClassificationLoader:
    """Batches of sequences of similar lengths, with a class each.

    Args:
        sequences: N sequences of tokens, or of an image's steps.
        targets: (N,) class indices.
        batch_tokens: maximum tokens of a batch, padding included.
        seed: seed of the order of the batches.
        device: device of the batches.
    """

    def __init__(
        self, sequences: Readable, targets: Tensor, *, batch_tokens: int, seed: int, device: torch.device
    ) -> None:
        self.sequences, self.targets, self.device = sequences, targets, device
        self.batches = Batches(sequences.lengths, batch_tokens, seed)

    def count(self, epoch: int) -> int:
        """Return the number of batches of an epoch."""
        return self.batches.count(epoch)

    def batch(self, epoch: int, index: int) -> Batch:
        """Return a batch, a pure function of (seed, epoch, index)."""
        indices = self.batches.indices(epoch, index)
        inputs, lengths = self.sequences.pad(indices)
        inputs, targets = inputs.to(self.device), as_targets(self.targets[indices]).to(self.device)
        if lengths is None:
            return Batch(inputs, None, targets, len(indices), inputs.shape[0] * inputs.shape[1])
        return Batch(inputs, lengths.to(self.device), targets, len(indices), int(lengths.sum()))


def as_targets(stored: Tensor) -> Tensor:
    """Return targets of a batch as the loss takes them: classes as int64, true and false as 1.0 and 0.0."""
    if stored.dtype == torch.bool:
        return stored.float()
    return stored if stored.is_floating_point() else stored.long()


def loss_nats(
    logits: Tensor, targets: Tensor, *, label_smoothing: float = 0.0, class_weights: Tensor | None = None
) -> Tensor:
    """Return −Σ log p(target), the summed nats of a batch.

    Args:
        logits: (B, K).
        targets: (B,) class indices.
        label_smoothing: fraction of each target that is spread over all K classes (Szegedy et al. 2016).
        class_weights: (K,) factors of the nats of each class.
    """
    if class_weights is None:
        return cross_entropy(logits, targets, label_smoothing=label_smoothing).sum()
    return F.cross_entropy(logits, targets, weight=class_weights, reduction="sum", label_smoothing=label_smoothing)


def class_weights(targets: Tensor, num_classes: int, kind: Literal["balanced", "sqrt"]) -> Tensor:
    """Return weights of K classes, (K,), in inverse proportion to their frequency n_k or its square root.

    An example has the weight 1 on average. balanced: N / (K n_k), so that every class has the same sum; sqrt: the
    square roots 1 / √n_k, scaled.
    """
    counts = torch.bincount(targets, minlength=num_classes)
    if kind == "balanced":
        return len(targets) / (num_classes * counts)
    weights = counts.rsqrt()
    return weights * len(targets) / (counts * weights).sum()


def score(model: Model, sequences: Readable, targets: Tensor) -> Score:
    """Return the mean loss and accuracy of the model on N sequences and their classes (N,)."""
    return score_of(probabilities(model, sequences), targets)


def score_of(probabilities: NDArray[np.float64], targets: Tensor) -> Score:
    """Return mean loss, accuracy and macro-F1 of probabilities (N, K) for the classes (N,)."""
    probability, targets = torch.from_numpy(probabilities), targets.long()
    answers = probability.argmax(dim=1)
    nats = -probability.gather(1, targets.unsqueeze(1)).clamp(min=torch.finfo(torch.float64).tiny).log()
    return Score(
        loss_nats=float(nats.mean()),
        accuracy=float((answers == targets).double().mean()),
        targets=len(targets),
        macro_f1=f1_of(targets.numpy(), answers.numpy()),
    )
