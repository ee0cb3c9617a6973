"""Weights of a run: safetensors files, whose tensors must be those of its model, with finite numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from unrolled import atomic
from unrolled.errors import CheckpointError, excerpt
from unrolled.runs import older

__all__ = ["load_tensors", "read_snapshots", "read_weights", "refuse_infinite", "refuse_other_model"]

SNAPSHOTS = ("snapshots/update-*.safetensors", "probes/update-*.safetensors")  # the second: format version 2
UPDATE = re.compile(r"update-(\d{1,15})\.safetensors")


def read_weights(
    path: Path, data: bytes, expected: Mapping[str, Tensor], *, dtype: torch.dtype | None = None
) -> dict[str, Tensor]:
    """Return the tensors of a file by name.

    Args:
        path: path of the file, for the message.
        data: the bytes of the file.
        expected: the tensors of the model, which may be on the device meta.
        dtype: type of floating point tensors in the file; None: those of the model.

    Raises:
        CheckpointError: the tensors are not those of the model, or have a number that is not finite.
    """
    weights = older.current_weights(load_tensors(path, data))
    refuse_other_model(path, weights, expected, dtype=dtype)
    refuse_infinite(path, weights)
    return weights


def refuse_other_model(
    path: Path, weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], *, dtype: torch.dtype | None = None
) -> None:
    """Refuse tensors whose names, shapes or types are not those of a model; see `read_weights`.

    Raises:
        CheckpointError: names the first difference.
    """
    if difference := next(_differences(weights, expected, dtype), None):
        raise CheckpointError(f"{path} does not hold the weights of this model: {difference}")


def load_tensors(path: Path, data: bytes) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file by name; it takes the memory of the file, whatever its header claims.

    Raises:
        CheckpointError: it is not a safetensors file.
    """
    try:
        return safetensors.torch.load(data)
    except (safetensors.SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path} is not a safetensors file: {excerpt(str(error), 200)}") from None


def refuse_infinite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Refuse tensors with a number that is not finite.

    Raises:
        CheckpointError: names the first of them.
    """
    for name, value in tensors.items():
        if not value.isfinite().all():
            raise CheckpointError(
                f"{path} is damaged: {excerpt(name)} has a number that is not finite; copy it again, or train again"
            )


def read_snapshots(folder: Path, expected: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """Return the weights that were saved during the training of a run, in float16, by update in ascending order.

    Args:
        folder: folder of the run.
        expected: the tensors of its model.

    Raises:
        CheckpointError: a file of them is damaged, or of another model.
    """
    paths = [path for pattern in SNAPSHOTS for path in folder.glob(pattern)]
    names = {int(match[1]): path for path in paths if (match := UPDATE.fullmatch(path.name))}
    files = atomic.read(folder, [path.relative_to(folder).as_posix() for path in names.values()])
    return {
        update: read_weights(path, files[path.relative_to(folder).as_posix()], expected, dtype=torch.float16)
        for update, path in sorted(names.items())
    }


def _differences(
    weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], dtype: torch.dtype | None
) -> Iterator[str]:
    """Yield a clause for each difference between the tensors of a file and those of a model."""
    for name in sorted(weights.keys() ^ expected.keys()):
        yield f"{excerpt(name)} is {'missing' if name in expected else 'not a tensor of it'}"
    for name, value in expected.items():
        if (got := tuple(weights[name].shape)) != tuple(value.shape):
            yield f"{name} has the shape {got}, not {tuple(value.shape)}"
        wanted = dtype if dtype and value.is_floating_point() else value.dtype
        if weights[name].dtype != wanted:
            yield f"{name} is {weights[name].dtype}, not {wanted}"
