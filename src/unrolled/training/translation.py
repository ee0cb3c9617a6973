"""Batches and validation score of the task translate.

The decoder reads each target from <bos> on and predicts the next token at each position, up to <eos> (teacher
forcing). The loss is that of a language model, `generation.loss_nats`.
"""

from __future__ import annotations

import torch

from unrolled.data.encoding.batches import Batches
from unrolled.data.encoding.pairs import PairSequences
from unrolled.decoding.teacher_forcing import score_targets
from unrolled.models import Model
from unrolled.training.batch import Batch
from unrolled.training.progress import Score

__all__ = ["TranslationLoader", "score"]


class TranslationLoader:
    """Batches of pairs of similar lengths.

    Args:
        pairs: N pairs.
        batch_tokens: maximum tokens of a batch, both sides and padding included.
        seed: seed of the order of the batches.
        device: device of the batches.
    """

    def __init__(self, pairs: PairSequences, *, batch_tokens: int, seed: int, device: torch.device) -> None:
        self.pairs, self.device = pairs, device
        self.batches = Batches(pairs.lengths, batch_tokens, seed)

    def count(self, epoch: int) -> int:
        """Return the number of batches of an epoch."""
        return self.batches.count(epoch)

    def batch(self, epoch: int, index: int) -> Batch:
        """Return a batch, a pure function of (seed, epoch, index). Its tokens are those of both sides."""
        pairs = self.pairs.pad(self.batches.indices(epoch, index))
        num_targets, num_sources = int(pairs.lengths.sum()), int(pairs.source_lengths.sum())
        pairs = pairs.to(self.device)
        return Batch(
            pairs.ids,
            pairs.lengths,
            pairs.targets,
            num_targets=num_targets,
            num_tokens=num_targets + num_sources,
            source=pairs.source,
            source_lengths=pairs.source_lengths,
        )


def score(model: Model, pairs: PairSequences) -> Score:
    """Return the mean loss and accuracy of the model on the target tokens, <eos> included."""
    scored = score_targets(model, pairs)
    tokens = int(scored.tokens.sum())
    loss, accuracy = float(scored.nats.sum() / tokens), float(scored.right.sum() / tokens)
    return Score(loss_nats=loss, accuracy=accuracy, targets=tokens)
