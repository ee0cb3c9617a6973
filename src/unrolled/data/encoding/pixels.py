"""How an image becomes the steps that a model reads: normalised, perhaps in another order, cut; kept with the run.

    x = (pixel − mean) / std          of the training split, one mean and one std a channel
    by image    (B, 1, H·W·C)         at once
    by row      (B, H, W·C)           from top to bottom
    by column   (B, W, H·C)           from left to right
    by pixel    (B, H·W, C)           as one reads a page

With a permutation, pixel i of what is cut is pixel permutation[i] of the image, the same for all images: neighbours
are torn apart, and what a sequence model learns then, it does not learn from nearness (Le, Jaitly & Hinton 2015).
"""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from torch import Tensor

from unrolled.errors import CheckpointError

__all__ = ["By", "ImageSteps", "Pixels"]

By = Literal["image", "row", "column", "pixel"]


class Pixels(BaseModel):
    """What an image is, and how it is read.

    Args:
        height, width, channels: H, W, C.
        dtype: of the images: uint8, from 0 to 255, or float32, in whatever unit.
        by: what a step is.
        mean, std: of each channel, in the images' unit.
        permutation: of the H·W pixels, or None.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
    FILE: ClassVar[str] = "pixels.json"

    height: int
    width: int
    channels: int
    dtype: Literal["uint8", "float32"]
    by: By
    mean: tuple[float, ...]
    std: tuple[float, ...]
    permutation: tuple[int, ...] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if min(self.shape) < 1 or not len(self.mean) == len(self.std) == self.channels or min(self.std) <= 0:
            raise ValueError(f"{self.channels} channels need a mean and a std above 0 each")
        if self.permutation is not None and sorted(self.permutation) != list(range(self.height * self.width)):
            raise ValueError(f"the permutation is none of {self.height} × {self.width} pixels")
        return self

    @classmethod
    def learn(cls, images: NDArray[np.generic], *, by: By, permutation_seed: int | None = None) -> Self:
        """Measure the training split, (N, H, W, C) of uint8 or float32.

        A channel that is the same everywhere has std 1: it becomes 0 whatever it is divided by.
        """
        _, H, W, C = images.shape
        channels = [_mean_and_std(images[..., channel]) for channel in range(C)]
        order = None if permutation_seed is None else np.random.default_rng(permutation_seed).permutation(H * W)
        return cls(
            height=H,
            width=W,
            channels=C,
            dtype="uint8" if images.dtype == np.uint8 else "float32",
            by=by,
            mean=tuple(mean for mean, _ in channels),
            std=tuple(std or 1.0 for _, std in channels),
            permutation=None if order is None else tuple(order.tolist()),
        )

    def __str__(self) -> str:
        return f"{self.width} × {self.height} pixels, {self.channels} channel{'s'[: self.channels > 1]}"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return self.height, self.width, self.channels

    @property
    def num_steps(self) -> int:
        """T of what `steps` returns."""
        return {"image": 1, "row": self.height, "column": self.width, "pixel": self.height * self.width}[self.by]

    @property
    def step_size(self) -> int:
        """D of what `steps` returns."""
        return self.height * self.width * self.channels // self.num_steps

    def steps(self, images: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, T, D), float32."""
        x = (images.float() - images.new_tensor(self.mean, dtype=torch.float32)) / images.new_tensor(
            self.std, dtype=torch.float32
        )
        if self.permutation is not None:
            order = torch.tensor(self.permutation, device=images.device)
            x = x.flatten(1, 2)[:, order].view_as(x)
        if self.by == "column":
            x = x.transpose(1, 2)
        return x.reshape(len(x), self.num_steps, self.step_size)

    def to_json(self) -> str:
        """Return it as JSON."""
        return self.model_dump_json(indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` returned.

        Raises:
            CheckpointError: it is damaged.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise CheckpointError(f"how pixels are read is damaged: {error.errors()[0]['msg']}") from None


class ImageSteps:
    """N images as sequences of steps: as they were read in memory, floats in a batch only.

    Args:
        images: (N, H, W, C). pixels: how they are read.
    """

    def __init__(self, images: NDArray[np.generic], pixels: Pixels) -> None:
        self.images, self.pixels = torch.from_numpy(images), pixels
        self.lengths = torch.full((len(images),), pixels.num_steps)  # (N,)

    def __len__(self) -> int:
        return len(self.images)

    def pad(self, rows: Tensor) -> tuple[Tensor, None]:
        """Return the images (B,) as steps (B, T, D); nothing is padded, so all steps are real."""
        return self.pixels.steps(self.images[rows]), None


def _mean_and_std(channel: NDArray[np.generic]) -> tuple[float, float]:
    """Mean and standard deviation, in float64; of bytes by how often each value occurs, without a copy as floats."""
    if channel.dtype != np.uint8:
        return float(channel.mean(dtype=np.float64)), float(channel.std(dtype=np.float64))
    blocks = np.array_split(channel, len(channel) // 1024 + 1)
    counts = sum(np.bincount(block.ravel(), minlength=256) for block in blocks)
    shares, values = counts / channel.size, np.arange(256)
    mean = float(shares @ values)
    return mean, float(np.sqrt(shares @ (values - mean) ** 2))
