"""The embedding of token ids."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unrolled import shapes
from unrolled.eager import readable
from unrolled.errors import ShapeError
from unrolled.kernels import freeze

__all__ = ["PAD", "Embedding"]

FEW = 64  # ids whose range Python finds sooner than torch
PAD = 0  # the id of padding, whose vector is always zero


class Embedding(nn.Embedding):
    """A vector for each token id, initially from N(0, std²); that of padding is zero.

    The vector of a rare token changes little in training, and so its initial value stays as noise in the inputs of the
    layers above. A small `std` is therefore better where most tokens are rare. Where all are frequent, 1 gives those
    layers the variance for which their own weights are initialised.

    Args:
        vocabulary_size: number V of tokens.
        embedding_size: size D of the vectors.
        std: standard deviation of the initial values.
    """

    def __init__(self, vocabulary_size: int, embedding_size: int, *, std: float = 1.0) -> None:
        self.std = std
        super().__init__(vocabulary_size, embedding_size, padding_idx=PAD)

    def reset_parameters(self) -> None:
        """Draw the vectors from N(0, std²); set that of padding to 0."""
        nn.init.normal_(self.weight, std=self.std)
        with torch.no_grad():
            self.weight[PAD].zero_()

    def forward(self, ids: Tensor) -> Tensor:
        """Return the vectors (B, T, D) of ids (B, T), integers from 0 to V − 1.

        Raises:
            ShapeError: ids are not (B, T) integers, or one of them is out of range (checked where values
                are `readable`).
        """
        shapes.check("ids", ids, "BT")
        if ids.is_floating_point():
            raise ShapeError(f"ids must be integers: got {ids.dtype}")
        if readable(ids) and ids.numel():
            few = ids.flatten().tolist() if ids.numel() <= FEW else ids.aminmax()
            lowest, highest = int(min(few)), int(max(few))
            if lowest < 0 or highest >= self.num_embeddings:
                wrong = lowest if lowest < 0 else highest
                raise ShapeError(f"ids must lie between 0 and {self.num_embeddings - 1}: got {wrong}")
        return super().forward(ids)


freeze.TABLES.add(Embedding)
