"""What training needs to know of the task translate: its batches, and its score on the validation split.

The model is shown each target from <bos> on and asked for the next token at each place, up to <eos> (teacher
forcing). The loss is that of a language model.
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
    """Batches of pairs of like length.

    Args:
        pairs: N of them. batch_tokens: most tokens in a batch, of both sides and padding included. seed: of the order.
        device: where batches go.
    """

    def __init__(self, pairs: PairSequences, *, batch_tokens: int, seed: int, device: torch.device) -> None:
        self.pairs, self.device = pairs, device
        self.batches = Batches(pairs.lengths, batch_tokens, seed)

    def count(self, epoch: int) -> int:
        """How many batches the epoch has."""
        return self.batches.count(epoch)

    def batch(self, epoch: int, index: int) -> Batch:
        """One of them: a pure function of (seed, epoch, index). Its tokens are those of both sides."""
        pairs = self.pairs.pad(self.batches.rows(epoch, index))
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
    """Return mean loss and accuracy of the model on the target tokens, <eos> included."""
    scored = score_targets(model, pairs)
    tokens = int(scored.tokens.sum())
    return Score(loss_nats=float(scored.nats.sum() / tokens), accuracy=float(scored.right.sum() / tokens))
