"""Batches and loss of the task generate: to predict each token of a text from those before it.

A text of N tokens has N targets. The first one is predicted from <bos>, with which every stream begins.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unrolled.data.encoding.tokenizers import BOS, PAD
from unrolled.kernels.cross_entropy import cross_entropy
from unrolled.training.batch import Batch

__all__ = ["Streams", "Windows", "loss_nats"]

Integers = NDArray[np.integer[Any]]


class Streams:
    """Parallel streams for models that carry a state: truncated backpropagation through time.

    The text is cut into B streams of equal length; the remainder at its end, of fewer than B tokens, is not used.
    Sequence b of batch i is the i-th chunk of stream b, and begins with the state that chunk i − 1 left. An epoch
    begins with the empty state.

    Args:
        ids: (N,) integers.
        streams: B, or fewer where N tokens are not a chunk for each.
        chunk: T, tokens of a stream in a batch; the last batch of an epoch may have fewer.
        device: device of the batches.
    """

    def __init__(self, ids: Integers, *, streams: int, chunk: int, device: torch.device) -> None:
        # a view (B, N // B): nothing is read yet
        B = min(streams, max(1, len(ids) // chunk))
        self.tokens: Integers = np.asarray(ids[: len(ids) // B * B]).reshape(B, -1)
        self.chunk, self.device = chunk, device

    def count(self, epoch: int) -> int:
        """Return the number of batches of an epoch."""
        return -(-int(self.tokens.shape[1]) // self.chunk)

    def batch(self, epoch: int, index: int) -> Batch:
        """Return a batch, a pure function of its index; every epoch has the same."""
        start = index * self.chunk
        targets = self.tokens[:, start : start + self.chunk].astype(np.int64)
        inputs = np.empty_like(targets)
        inputs[:, 1:] = targets[:, :-1]
        inputs[:, 0] = self.tokens[:, start - 1] if start else BOS
        return Batch(
            torch.from_numpy(inputs).to(self.device),
            None,
            torch.from_numpy(targets).to(self.device),
            num_targets=targets.size,
            num_tokens=targets.size,
            continues=start > 0,
        )


class Windows:
    """Chunks from random positions, for models whose output depends on the last `receptive_field` tokens only.

    Each chunk is preceded by receptive_field − 1 tokens of context, so that every target is predicted from a full
    window. The context has no targets (<pad>, which the loss ignores).

    Args:
        ids: (N,) integers.
        receptive_field: tokens that an output depends on.
        streams: B.
        chunk: T, targets of a sequence.
        seed: seed of the positions.
        device: device of the batches.
    """

    def __init__(
        self, ids: Integers, *, receptive_field: int, streams: int, chunk: int, seed: int, device: torch.device
    ) -> None:
        self.ids: Integers = np.asarray(ids)
        self.receptive_field, self.streams, self.chunk, self.seed, self.device = (
            receptive_field,
            streams,
            min(chunk, len(ids)),
            seed,
            device,
        )

    def count(self, epoch: int) -> int:
        """Return the number of batches with as many targets as the text; some tokens are drawn twice, some never."""
        return -(-len(self.ids) // (self.streams * self.chunk))

    def batch(self, epoch: int, index: int) -> Batch:
        """Return a batch, a pure function of (seed, epoch, index)."""
        B, T, lead = self.streams, self.chunk, self.receptive_field - 1
        starts = np.random.default_rng((self.seed, epoch, index)).integers(0, len(self.ids) - T + 1, size=(B, 1))
        positions = starts + np.arange(-lead - 1, T)  # (B, lead + 1 + T)
        tokens = self.ids[positions.clip(min=0)].astype(np.int64)
        tokens[positions == -1] = BOS
        tokens[positions < -1] = PAD
        inputs, targets = tokens[:, :-1], tokens[:, 1:].copy()
        targets[:, :lead] = PAD
        return Batch(
            torch.from_numpy(inputs).to(self.device),
            None,
            torch.from_numpy(targets).to(self.device),
            num_targets=B * T,
            num_tokens=B * T,
        )


def loss_nats(logits: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Return −Σ log p(target), the summed nats of a batch, without the targets that are <pad>.

    Args:
        logits: (B, T, V).
        targets: (B, T) ids.
        label_smoothing: fraction of each target that is spread over all V tokens (Szegedy et al. 2016).
    """
    nats = cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=PAD, label_smoothing=label_smoothing)
    return nats.sum()
