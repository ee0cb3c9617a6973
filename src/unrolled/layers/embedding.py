"""The way in: token ids become vectors, or features pass as they are."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unrolled import shapes
from unrolled.errors import ShapeError

__all__ = ["PAD", "Embedding"]

PAD = 0  # the id of padding; its vector is zero and stays so


class Embedding(nn.Embedding):
    """A vector for each token id, N(0, std²) at first; padding's is zero.

    What training meets often it moves to where it belongs; a rare token's vector stays about where it was, and is noise
    to all that reads it. So `std` is small where most tokens are rare. Where all are frequent, 1 gives the layers above
    the variance that they are made for.

    Args:
        vocabulary_size: V. embedding_size: D. std: of each number.
    """

    def __init__(self, vocabulary_size: int, embedding_size: int, *, std: float = 1.0) -> None:
        self.std = std
        super().__init__(vocabulary_size, embedding_size, padding_idx=PAD)

    def reset_parameters(self) -> None:
        """Normal with standard deviation `std`."""
        nn.init.normal_(self.weight, std=self.std)
        with torch.no_grad():
            self.weight[PAD].zero_()

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) integers from 0 to V − 1 -> (B, T, D).

        Raises:
            ShapeError: ids are not (B, T) integers, or one of them (looked at on the CPU only) is outside.
        """
        shapes.check("ids", ids, "BT")
        if ids.is_floating_point():
            raise ShapeError(f"ids must be integers: got {ids.dtype}")
        if ids.device.type == "cpu" and ids.numel():
            least, most = (int(value) for value in ids.aminmax())
            if least < 0 or most >= self.num_embeddings:
                wrong = least if least < 0 else most
                raise ShapeError(f"ids must lie between 0 and {self.num_embeddings - 1}: got {wrong}")
        return super().forward(ids)
