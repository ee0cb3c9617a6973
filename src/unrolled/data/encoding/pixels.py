"""Images as sequences of time steps: normalised, optionally permuted, and divided into steps.

    x = (pixel − mean) / std          mean and std of each channel in the training split
    by image    (B, 1, H·W·C)         at once
    by row      (B, H, W·C)           from top to bottom
    by column   (B, W, H·C)           from left to right
    by pixel    (B, H·W, C)           row by row, from left to right

With a permutation, pixel i of the permuted image is pixel permutation[i] of the image, the same for all images. A
sequence model then cannot rely on neighbouring pixels (Le, Jaitly & Hinton 2015).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from unrolled.saved import Size, Strict, valid

__all__ = ["By", "ImageSteps", "Pixels"]

By = Literal["image", "row", "column", "pixel"]
MOST_VALUES = 2**31 - 1  # of an image: an axis of a tensor has no more


class Pixels(Strict):
    """Shape and normalisation of images, and their division into steps; saved with a run.

    Args:
        height, width, channels: H, W, C.
        dtype: type of the images' numbers: uint8, from 0 to 255, or float32, in any unit.
        by: unit of a step.
        mean, std: mean and standard deviation of each channel, in the images' unit.
        permutation: permutation of the H·W pixels; None: they stay in order.
    """

    FILE: ClassVar[str] = "pixels.json"

    height: Size
    width: Size
    channels: Annotated[int, Field(ge=1, le=4)]
    dtype: Literal["uint8", "float32"]
    by: By
    mean: tuple[float, ...]
    std: tuple[float, ...]
    permutation: tuple[int, ...] | None = None

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Yield the fields, without the numbers of a permutation."""
        yield from ((name, value) for name, value in super().__repr_args__() if name != "permutation")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not len(self.mean) == len(self.std) == self.channels or min(self.std) <= 0:
            raise ValueError(f"{self.channels} channels need a mean and a std above 0 each")
        if self.height * self.width * self.channels > MOST_VALUES:
            raise ValueError(f"an image has at most {MOST_VALUES:,} values: got {self.shape}")
        order, pixels = self.permutation, self.height * self.width
        if order is not None and (len(order) != pixels or sorted(order) != list(range(pixels))):
            raise ValueError(f"the permutation must hold each index of {self.height} × {self.width} pixels once")
        return self

    @classmethod
    def learn(cls, images: NDArray[np.generic], *, by: By, permutation_seed: int | None = None) -> Self:
        """Measure the training split, (N, H, W, C) of uint8 or float32.

        A constant channel gets std 1, so that it is normalised to 0.
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
        """Number T of steps."""
        return {"image": 1, "row": self.height, "column": self.width, "pixel": self.height * self.width}[self.by]

    @property
    def step_size(self) -> int:
        """Number D of values in a step."""
        return self.height * self.width * self.channels // self.num_steps

    def steps(self, images: Tensor) -> Tensor:
        """Return images (B, H, W, C) as steps (B, T, D), float32."""
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
        """Return the settings as JSON."""
        return self.model_dump_json(indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, name: Path | str = FILE) -> Self:
        """Return the settings that `to_json` wrote.

        Args:
            text: contents of the file.
            name: name of the file, for the message.

        Raises:
            CheckpointError: the JSON is damaged.
        """
        return valid(cls, name, text.encode("utf-8", "surrogatepass"))


class ImageSteps:
    """N images as sequences of steps; only batches are converted to floats.

    Args:
        images: (N, H, W, C).
        pixels: their division into steps.
    """

    def __init__(self, images: NDArray[np.generic], pixels: Pixels) -> None:
        self.images, self.pixels = torch.from_numpy(images), pixels
        self.lengths = torch.full((len(images),), pixels.num_steps)  # (N,)

    def __len__(self) -> int:
        return len(self.images)

    def pad(self, indices: Tensor) -> tuple[Tensor, None]:
        """Return the images at `indices` (B,) as steps (B, T, D), and None: no step is padding."""
        return self.pixels.steps(self.images[indices]), None


def _mean_and_std(channel: NDArray[np.generic]) -> tuple[float, float]:
    """Return mean and standard deviation in float64; for bytes from a histogram, without a copy as floats."""
    if channel.dtype != np.uint8:
        return float(channel.mean(dtype=np.float64)), float(channel.std(dtype=np.float64))
    blocks = np.array_split(channel, len(channel) // 1024 + 1)
    counts = sum(np.bincount(block.ravel(), minlength=256) for block in blocks)
    frequencies, values = counts / channel.size, np.arange(256)
    mean = float(frequencies @ values)
    return mean, float(np.sqrt(frequencies @ (values - mean) ** 2))
