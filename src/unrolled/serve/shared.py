"""Weights that several processes share: the tensors of a run are mapped from its file, which the system keeps once."""

from __future__ import annotations

import json
import mmap

import torch
from torch import nn

from unrolled.runs.folder import WEIGHTS
from unrolled.runs.run import Run

__all__ = ["share_weights"]

TYPES = {"F32": torch.float32, "F64": torch.float64, "I64": torch.int64, "BF16": torch.bfloat16, "F16": torch.float16}


def share_weights(run: Run) -> int:
    """Map the weights of a run on the CPU from its file, in place of its own copy; return the bytes that are shared.

    The file was read and checked when the run was loaded. Tensors that differ from it (of older formats) stay copies.
    """
    path = None if run.path is None else run.path / WEIGHTS
    if path is None or not path.is_file() or next(run.model.parameters()).device.type != "cpu":
        return 0
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)  # private: nothing is ever written to the file
    size = int.from_bytes(mapped[:8], "little")
    header = json.loads(mapped[8 : 8 + size])
    shared = 0
    for name, parameter in run.model.named_parameters():
        entry = header.get(name)
        if entry is None or TYPES.get(entry["dtype"]) is not parameter.dtype or entry["shape"] != list(parameter.shape):
            continue
        first, end = entry["data_offsets"]
        count = parameter.numel()
        if not count or (8 + size + first) % parameter.element_size():
            continue
        tensor = torch.frombuffer(mapped, dtype=parameter.dtype, count=count, offset=8 + size + first)
        tensor = tensor.view(parameter.shape)
        if torch.equal(tensor, parameter):
            _replace(run.model, name, nn.Parameter(tensor, requires_grad=parameter.requires_grad))
            shared += end - first
    return shared


def _replace(model: nn.Module, name: str, parameter: nn.Parameter) -> None:
    """Replace a parameter wherever the model has it."""
    old = model.get_parameter(name)
    for module in model.modules():
        for own, value in module._parameters.items():
            if value is old:
                module._parameters[own] = parameter
