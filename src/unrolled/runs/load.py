"""Loading a run from its folder."""

from __future__ import annotations

import importlib
from pathlib import Path

from unrolled import lineage, machine
from unrolled.errors import CheckpointError, ConfigError
from unrolled.kernels import freeze
from unrolled.models import Features, Model
from unrolled.runs import leftovers
from unrolled.runs.agreement import refuse_disagreement
from unrolled.runs.build import build
from unrolled.runs.folder import WEIGHTS, read
from unrolled.runs.preprocessor import FILES, num_outputs_of
from unrolled.runs.run import Run
from unrolled.runs.schema import Manifest
from unrolled.runs.weights import read_weights

__all__ = ["load"]


def load(path: str | Path, *, device: str = "auto") -> Run:
    """Load a run from its folder. Nothing in it is executed, and no pickle is read.

    The run computes with the best backend of this machine, independent of its training.

    Args:
        path: the folder.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        CheckpointError: the folder or a file of it is missing, damaged, foreign, or of a newer format; or its files
            disagree.
        ConfigError: the device is not available.
    """
    folder = Path(path)
    leftovers.recover(folder)
    manifest, data, file, text, config, record = read(folder)
    preprocessor = FILES[file].from_json(text, folder / file)
    refuse_disagreement(folder, manifest, config, record["data"], preprocessor)
    kind = _kind(manifest)
    model = _empty(folder, manifest, kind)
    model.load_state_dict(read_weights(folder / WEIGHTS, data, model.state_dict()), assign=True)
    leftovers.clean(folder)
    model = model.to(machine.device(device)).eval()
    freeze.keep(model)
    run: Run = kind(config, model, preprocessor, tuple(manifest.labels), record, folder)
    return run


def _empty(folder: Path, manifest: Manifest, kind: type[Run]) -> Model:
    """Return the model of a run without memory for its weights."""
    inputs = manifest.inputs.inputs()
    outputs = num_outputs_of(inputs, manifest.labels)
    try:
        with machine.without_values():
            return build(manifest.model.name, inputs, outputs, manifest.model, answer=kind.answer)
    except (ConfigError, ValueError, RuntimeError, OverflowError) as error:
        raise CheckpointError(f"{folder / 'config.json'} describes a model that cannot be built: {error}") from None


def _kind(manifest: Manifest) -> type[Run]:
    """Return the class of a task's runs, which is another one for images, and for several labels a text."""
    images = isinstance(manifest.inputs.inputs(), Features)
    _, path = lineage.task(manifest.task).paths(images=images, multi_label=manifest.multi_label)
    module, _, kind = path.partition(":")
    run: type[Run] = getattr(importlib.import_module(module), kind)
    return run
