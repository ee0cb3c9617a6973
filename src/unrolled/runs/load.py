"""Loading a run from its folder."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch

from unrolled import lineage, machine
from unrolled.errors import CheckpointError
from unrolled.models import Features
from unrolled.runs import leftovers
from unrolled.runs.build import build
from unrolled.runs.folder import read
from unrolled.runs.preprocessor import FILES, inputs_of, num_outputs_of
from unrolled.runs.run import SPECIAL_IDS, Run

__all__ = ["load"]


def load(path: str | Path, *, device: str = "auto") -> Run:
    """Load a run from its folder. Nothing in it is executed, and no pickle is read.

    The run computes with the best backend of this machine, independent of its training.

    Args:
        path: the folder. device: "auto", "cpu", "cuda" or "mps".

    Raises:
        CheckpointError: the folder or a file of it is missing, damaged, foreign, or of a newer format.
        ConfigError: the device is not available.
    """
    folder = Path(path)
    leftovers.recover(folder)
    manifest, weights, file, text, config, record = read(folder)
    try:
        with torch.device("meta"):  # no memory: the tensors of the file are assigned
            inputs = manifest.inputs.inputs()
            kind = _kind(manifest.task, images=isinstance(inputs, Features))
            outputs = num_outputs_of(inputs, manifest.labels)
            model = build(manifest.model.name, inputs, outputs, manifest.model, answer=kind.answer)
        for name, value in model.state_dict().items():
            if name in weights and weights[name].dtype != value.dtype:
                raise ValueError(f"{name} is {weights[name].dtype}, not {value.dtype}")
        model.load_state_dict(weights, assign=True)
    except (ValueError, RuntimeError) as error:
        raise CheckpointError(f"{folder} does not hold a run that this unrolled can rebuild: {error}") from error
    try:
        preprocessor = FILES[file].from_json(text)
    except CheckpointError as error:
        raise CheckpointError(f"{folder / file}: {error}") from None
    if inputs_of(preprocessor) != inputs or manifest.special_ids != SPECIAL_IDS:
        raise CheckpointError(
            f"{folder / file} makes {inputs_of(preprocessor)}, and the model reads {inputs}: it belongs to another run"
        )
    leftovers.clean(folder)
    run: Run = kind(
        config, model.to(machine.device(device)).eval(), preprocessor, tuple(manifest.labels), record, folder
    )
    return run


def _kind(name: str, *, images: bool) -> type[Any]:
    """Return the class of a task's runs, which is another one for images."""
    task = lineage.task(name)
    path = task.images[1] if images and task.images else task.run
    module, _, kind = path.partition(":")
    run: type[Any] = getattr(importlib.import_module(module), kind)
    return run
