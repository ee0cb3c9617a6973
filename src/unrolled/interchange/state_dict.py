"""Files of tensors by name, as safetensors or as torch.save writes a state_dict; no pickled code is executed."""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unrolled.errors import CheckpointError, excerpt
from unrolled.interchange.imported import file_bytes
from unrolled.runs.weights import load_tensors, refuse_infinite

__all__ = ["PICKLED", "read_state_dict"]

PICKLED = (".pt", ".pth")
"""Endings of the files of torch.save."""
WITHIN = ("state_dict", "model_state_dict", "model")
"""Entries of a checkpoint that hold the state_dict, as trainers name them."""
DAMAGE = (pickle.UnpicklingError, struct.error, RuntimeError, EOFError, ValueError, LookupError, TypeError)
"""Errors of torch.load where a file is damaged, or holds more than tensors."""
SAVE = "save the tensors alone, with safetensors or torch.save(network.state_dict(), FILE)"


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name, in float32, on the CPU.

    Args:
        path: a safetensors file, or a .pt or .pth file with a state_dict or a checkpoint that holds one.

    Raises:
        CheckpointError: the file cannot be read, is damaged, holds other objects than dense tensors of floating point
            numbers, or has a number that is not finite.
    """
    data = file_bytes(path)
    tensors = _unpickled(path, data) if path.suffix in PICKLED else load_tensors(path, data)
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or tensor.layout != torch.strided or tensor.device.type != "cpu":
            kind = f"{tensor.dtype}, {tensor.layout}, on {tensor.device}"
            raise CheckpointError(
                f"{path} has a tensor that is not dense or not of floating point numbers: {excerpt(name)} ({kind})"
            )
    floats = {name: tensor.float() for name, tensor in tensors.items()}
    refuse_infinite(path, floats)
    return floats


def _unpickled(path: Path, data: bytes) -> dict[str, Tensor]:
    """Return the state_dict of a file of torch.save."""
    try:
        loaded = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except DAMAGE:
        raise CheckpointError(
            f"{path} is damaged, or holds objects other than tensors, which are never unpickled: {SAVE}"
        ) from None
    within = [loaded[name] for name in WITHIN if name in loaded] if isinstance(loaded, Mapping) else []
    found = next(filter(_is_state_dict, (loaded, *within)), None)
    if found is None:
        raise CheckpointError(f"{path} holds no state_dict, tensors by name: {SAVE}")
    return dict(found)


def _is_state_dict(value: Any) -> bool:
    """Return whether a loaded object is a state_dict with a tensor or more."""
    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(isinstance(name, str) and isinstance(each, Tensor) for name, each in value.items())
    )
