"""Batches, loss and validation score of the task tag.

A sentence is a sequence of subwords, and the label of a word is predicted at its last subword. Other positions have no
target.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unrolled.data.encoding.batches import Batches
from unrolled.data.encoding.words import NO_WORD, Subwords
from unrolled.decoding.tagging import word_probabilities
from unrolled.models import Model
from unrolled.training import classification
from unrolled.training.batch import Batch
from unrolled.training.progress import Score

__all__ = ["TaggingLoader", "loss_nats", "score"]


class TaggingLoader:
    """Batches of sentences of similar lengths, with a class for each word.

    Args:
        subwords: N sentences of W words in all.
        targets: (W,) class indices.
        batch_tokens: maximum ids of a batch, padding included.
        seed: seed of the order of the batches.
        device: device of the batches.
    """

    def __init__(
        self, subwords: Subwords, targets: Tensor, *, batch_tokens: int, seed: int, device: torch.device
    ) -> None:
        self.subwords, self.targets, self.device = subwords, targets, device
        self.batches = Batches(subwords.lengths, batch_tokens, seed)

    def count(self, epoch: int) -> int:
        """Return the number of batches of an epoch."""
        return self.batches.count(epoch)

    def batch(self, epoch: int, index: int) -> Batch:
        """Return a batch, a pure function of (seed, epoch, index)."""
        indices = self.batches.indices(epoch, index)
        ids, lengths = self.subwords.pad(indices)
        words = self.subwords.words(indices)
        targets = torch.where(words == NO_WORD, NO_WORD, classification.as_targets(self.targets[words]))
        return Batch(
            ids.to(self.device),
            lengths.to(self.device),
            targets.to(self.device),
            num_targets=int((words != NO_WORD).sum()),
            num_tokens=int(lengths.sum()),
        )


def loss_nats(
    logits: Tensor, targets: Tensor, *, label_smoothing: float = 0.0, class_weights: Tensor | None = None
) -> Tensor:
    """Return −Σ log p(target) over the words, the summed nats of a batch.

    Args:
        logits: (B, T, K).
        targets: (B, T) class indices; NO_WORD where no word ends.
        label_smoothing, class_weights: see `classification.loss_nats`.
    """
    ends = targets != NO_WORD
    return classification.loss_nats(
        logits[ends], targets[ends], label_smoothing=label_smoothing, class_weights=class_weights
    )


def score(model: Model, subwords: Subwords, targets: Tensor) -> Score:
    """Return the mean loss and accuracy of the model on W words and their classes (W,)."""
    return classification.score_of(word_probabilities(model, subwords), targets)
