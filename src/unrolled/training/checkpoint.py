"""A checkpoint: a atomic folder from which training goes on with the same bits.

tensors.safetensors  weights, the optimiser's moments, averaged and best weights, the state that a stream carries
progress.json        format_version, where the training stands (`Progress`), the build and machine that wrote it
metrics.jsonl        every line until then, so that a resume writes none twice
SHA256SUMS           of all of them
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
from pydantic import BaseModel, ValidationError
from torch import Tensor

from unrolled import atomic
from unrolled.config import sentences
from unrolled.errors import CheckpointError
from unrolled.runs.folder import refuse_newer
from unrolled.training.progress import STRICT, Progress

__all__ = ["FORMAT_VERSION", "Checkpoint", "latest", "read", "updates", "write"]

FORMAT_VERSION = 1
KEEP = 2  # the newest, and the one before it
FILES = ("tensors.safetensors", "progress.json", "metrics.jsonl")

log = logging.getLogger("unrolled")


class Checkpoint(NamedTuple):
    """What a checkpoint holds.

    Args:
        progress: where the training stands. tensors: by name, `part/…`.
        metrics: the bytes of metrics.jsonl. build: what may change the last bits.
    """

    progress: Progress
    tensors: dict[str, Tensor]
    metrics: bytes
    build: dict[str, Any]


class _Manifest(BaseModel):
    """What progress.json holds."""

    model_config = STRICT

    format_version: int
    progress: Progress
    build: dict[str, Any]


def write(parent: Path, checkpoint: Checkpoint) -> Path:
    """Write `parent/update-N`, read it back, and only then remove all but the newest two.

    Raises:
        CheckpointError: it could not be written whole; those before it are untouched.
    """
    folder = _folder(parent, checkpoint.progress.update)
    tensors = {name: value.detach().cpu().contiguous() for name, value in checkpoint.tensors.items()}
    kept = _Manifest(format_version=FORMAT_VERSION, progress=checkpoint.progress, build=checkpoint.build)
    atomic.write(
        folder,
        {
            "tensors.safetensors": safetensors.torch.save(tensors),
            "progress.json": kept.model_dump_json(indent=2).encode(),
            "metrics.jsonl": checkpoint.metrics,
        },
    )
    atomic.read(folder, FILES)
    for update in updates(parent)[KEEP:]:
        shutil.rmtree(_folder(parent, update))
    return folder


def read(folder: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        CheckpointError: a file of it is missing, damaged, not ours, or of a newer format; the message names it.
    """
    files = atomic.read(folder, FILES)
    path = folder / "progress.json"
    refuse_newer(path, files["progress.json"], FORMAT_VERSION)
    try:
        kept = _Manifest.model_validate_json(files["progress.json"])
    except ValidationError as error:
        raise CheckpointError(f"{path} is not ours: {'; '.join(sentences(error))}") from None
    try:
        tensors = safetensors.torch.load(files["tensors.safetensors"])
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{folder / 'tensors.safetensors'} is not a safetensors file: {error}") from None
    return Checkpoint(kept.progress, tensors, files["metrics.jsonl"], kept.build)


def latest(parent: Path) -> Checkpoint | None:
    """Return the newest checkpoint that is whole, None if there is none at all; a damaged one is named in a warning.

    Raises:
        CheckpointError: there are some, and all are damaged.
    """
    damaged = []
    for folder in (_folder(parent, update) for update in updates(parent)):
        try:
            found = read(folder)
        except CheckpointError as error:
            log.warning("checkpoint %s is not used: %s", folder.name, error)
            damaged.append((folder, error))
            continue
        for other, _ in damaged:
            log.warning("%s, the one before, is used instead", folder.name)
            aside = other.with_name(f"{other.name}.damaged")  # so that it does not count as one of two
            with atomic.write_errors(aside):
                shutil.rmtree(aside, ignore_errors=True)
                other.rename(aside)
        return found
    if damaged:
        raise CheckpointError(
            "no checkpoint is whole: "
            + "; ".join(str(error) for _, error in damaged)
            + ". Train again, with --overwrite"
        )
    return None


def updates(parent: Path) -> list[int]:
    """Return the updates after which there is a checkpoint, whole or damaged, the newest first."""
    found = (path.name.removeprefix("update-") for path in parent.glob("update-*"))
    return sorted((int(name) for name in found if name.isdecimal()), reverse=True)


def _folder(parent: Path, update: int) -> Path:
    return parent / f"update-{update}"
