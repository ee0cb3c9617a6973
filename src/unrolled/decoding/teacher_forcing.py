"""Teacher forcing: the probability of each token of given targets, under a model that has read their sources."""

from __future__ import annotations

import numpy as np
import torch

from unrolled.data.encoding.batches import by_length
from unrolled.data.encoding.pairs import PairSequences
from unrolled.data.encoding.tokenizers import PAD
from unrolled.decoding.generation import Scored
from unrolled.kernels.cross_entropy import cross_entropy
from unrolled.models import Model

__all__ = ["score_targets"]

BATCH_TOKENS = 8_192  # of both sides, padding included


@torch.inference_mode()
def score_targets(model: Model, pairs: PairSequences) -> Scored:
    """Return the scores of N targets given their sources: −ln p, correct first guesses and number of tokens of each.

    Each token is predicted from those before it in the target; <eos> counts as one.

    Args:
        model: a model with an encoder, in eval mode.
        pairs: N pairs.
    """
    device = next(model.parameters()).device
    nats, right = np.zeros(len(pairs)), np.zeros(len(pairs), dtype=np.int64)
    for indices in by_length(pairs.lengths, BATCH_TOKENS):
        batch = pairs.pad(indices).to(device)
        logits, _ = model(batch.ids, model.encode(batch.source, batch.source_lengths), batch.lengths)
        nats_each = cross_entropy(logits.flatten(0, 1).float(), batch.targets.flatten(), ignore_index=PAD)
        nats[indices] = nats_each.view(batch.targets.shape).double().sum(dim=1).cpu()
        right[indices] = ((logits.argmax(dim=2) == batch.targets) & (batch.targets != PAD)).sum(dim=1).cpu()
    return Scored(nats, right, pairs.lengths[:, 1].numpy())
