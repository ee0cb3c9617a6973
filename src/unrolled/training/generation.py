"""What training needs to know of the task generate: its batches and its loss.

The task is to predict each token of a text from those before it. A text of N tokens is N targets; the first one is
predicted from <bos>, which every stream begins with.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from unrolled.data.encoding.tokenizers import BOS, PAD
from unrolled.training.batch import Batch

__all__ = ["Streams", "Windows", "loss_nats"]

Integers = NDArray[np.integer[Any]]


class Streams:
    """Contiguous streams, side by side, for models that carry a state: truncated backpropagation through time.

    The text is cut into `streams` stretches of equal length (what is left over at its end, fewer tokens than streams,
    is not trained on). Row r of batch i holds the i-th chunk of stretch r, and goes on with the state that chunk i − 1
    left. An epoch begins with the empty state.

    Args:
        ids: (N,) integers. streams: B, or fewer where N does not give each a chunk. chunk: T, tokens of a stream in a
            batch; the last ones of an epoch may be fewer. device: where batches go.
    """

    def __init__(self, ids: Integers, *, streams: int, chunk: int, device: torch.device) -> None:
        B = min(streams, max(1, len(ids) // chunk))
        self.rows: Integers = np.asarray(ids[: len(ids) // B * B]).reshape(B, -1)  # a view: nothing is read yet
        self.chunk, self.device = chunk, device

    def count(self, epoch: int) -> int:
        """How many batches the epoch has."""
        return -(-int(self.rows.shape[1]) // self.chunk)

    def batch(self, epoch: int, index: int) -> Batch:
        """One of them: a pure function of index."""
        start = index * self.chunk
        targets = self.rows[:, start : start + self.chunk].astype(np.int64)
        inputs = np.empty_like(targets)
        inputs[:, 1:] = targets[:, :-1]
        inputs[:, 0] = self.rows[:, start - 1] if start else BOS
        return Batch(
            torch.from_numpy(inputs).to(self.device),
            None,
            torch.from_numpy(targets).to(self.device),
            num_targets=targets.size,
            num_tokens=targets.size,
            continues=start > 0,
        )


class Windows:
    """Chunks from random places, for models that see the last `receptive_field` tokens and nothing else.

    Each chunk brings the tokens before it, so that every target is predicted from a full window. These have no target
    of their own (<pad>, which the loss leaves out).

    Args:
        ids: (N,) integers. receptive_field: tokens that the model sees. streams: B. chunk: T, targets of a row.
        seed: of the places. device: where batches go.
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
        """How many batches have as many targets as the text; the places being random, some are met twice."""
        return -(-len(self.ids) // (self.streams * self.chunk))

    def batch(self, epoch: int, index: int) -> Batch:
        """One of them: a pure function of (seed, epoch, index)."""
        B, T, lead = self.streams, self.chunk, self.receptive_field - 1
        starts = np.random.default_rng((self.seed, epoch, index)).integers(0, len(self.ids) - T + 1, size=(B, 1))
        places = starts + np.arange(-lead - 1, T)  # (B, lead + 1 + T)
        tokens = self.ids[places.clip(min=0)].astype(np.int64)
        tokens[places == -1] = BOS
        tokens[places < -1] = PAD
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
    """−Σ log p(target): logits (B, T, V) and targets (B, T) -> the summed nats, without targets that are <pad>."""
    return F.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), reduction="sum", ignore_index=PAD, label_smoothing=label_smoothing
    )
