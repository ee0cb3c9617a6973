"""Loss and validation score of texts with several labels each."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from unrolled.decoding.classification import Readable
from unrolled.decoding.multi_label import label_probabilities
from unrolled.evaluation.multi_label import THRESHOLD, label_nats, micro_f1
from unrolled.models import Model
from unrolled.training.progress import Score

__all__ = ["loss_nats", "score"]


def loss_nats(logits: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Return −Σ ln p(target) over all texts and labels of a batch, in nats.

    Args:
        logits: (B, K).
        targets: (B, K), 1 for the labels that a text has, else 0.
        label_smoothing: fraction of each target that is spread evenly over "has" and "has not".
    """
    targets = targets * (1 - label_smoothing) + label_smoothing / 2
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")


def score(model: Model, sequences: Readable, targets: Tensor) -> Score:
    """Return the mean loss and micro-F1 of the model on N sequences and their labels (N, K)."""
    truth, probability = targets.bool().numpy(), label_probabilities(model, sequences)
    nats = float(label_nats(truth, probability).mean())
    return Score(loss_nats=nats, micro_f1=micro_f1(truth, probability >= THRESHOLD))
