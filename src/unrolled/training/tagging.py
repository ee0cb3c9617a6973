"""What training needs to know of the task tag: its batches, its loss, and its score on the validation split.

A sentence is a sequence of ids, and a word's label is read where the word ends. At all other places nothing is asked.
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
    """Batches of sentences of like length, with a class for each word.

    Args:
        subwords: N sentences of W words. targets: (W,) class indices.
        batch_tokens: most ids in a batch, padding included. seed: of the order. device: where batches go.
    """

    def __init__(
        self, subwords: Subwords, targets: Tensor, *, batch_tokens: int, seed: int, device: torch.device
    ) -> None:
        self.subwords, self.targets, self.device = subwords, targets, device
        self.batches = Batches(subwords.lengths, batch_tokens, seed)

    def count(self, epoch: int) -> int:
        """How many batches the epoch has."""
        return self.batches.count(epoch)

    def batch(self, epoch: int, index: int) -> Batch:
        """One of them: a pure function of (seed, epoch, index)."""
        rows = self.batches.rows(epoch, index)
        ids, lengths = self.subwords.pad(rows)
        words = self.subwords.words(rows)
        targets = torch.where(words == NO_WORD, NO_WORD, self.targets[words])
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
    """−Σ log p(target) over the words: logits (B, T, K) and targets (B, T) -> the summed nats of the batch.

    Args:
        logits: of the batch. targets: of the batch; NO_WORD where no word ends.
        label_smoothing, class_weights: as of the task classify.
    """
    asked = targets != NO_WORD
    return classification.loss_nats(
        logits[asked], targets[asked], label_smoothing=label_smoothing, class_weights=class_weights
    )


def score(model: Model, subwords: Subwords, targets: Tensor) -> Score:
    """Return mean loss and accuracy of the model on W words and their classes (W,)."""
    return classification.score_of(word_probabilities(model, subwords), targets)
