"""Checkpoints: atomic folders from which a training continues with the same bits.

tensors.safetensors  the tensors of the trainer, see `trainer_state`
progress.json        format_version, `Progress`, and the build and machine that wrote it
metrics.jsonl        all lines up to this update, so that a resumed training writes none twice
SHA256SUMS           the hashes of these files
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import NamedTuple, Self

import safetensors.torch
from pydantic import model_validator
from torch import Tensor

from unrolled import atomic
from unrolled.errors import CheckpointError
from unrolled.runs.folder import refuse_newer
from unrolled.runs.weights import load_tensors, refuse_infinite
from unrolled.saved import Count, Open, Strict, valid
from unrolled.training.progress import CLOCKS, Progress

__all__ = ["FORMAT_VERSION", "Checkpoint", "latest", "read", "updates", "write"]

FORMAT_VERSION = 1
KEEP = 2  # the newest ones; the older of them is used where the newer is damaged
FILES = ("tensors.safetensors", "progress.json", "metrics.jsonl")

log = logging.getLogger("unrolled")


class Checkpoint(NamedTuple):
    """The content of a checkpoint.

    Args:
        progress: progress of the training.
        tensors: the tensors by name, `group/…`, see `trainer_state`.
        metrics: the bytes of metrics.jsonl.
        build: machine and library versions that can change the last bits.
    """

    progress: Progress
    tensors: dict[str, Tensor]
    metrics: bytes
    build: dict[str, str]


class _Manifest(Strict):
    """The content of progress.json."""

    format_version: int
    progress: Progress
    build: dict[str, str]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        progress = self.progress
        if set(progress.seconds) != set(CLOCKS):
            raise ValueError(f"progress.seconds should be those of the clocks {', '.join(CLOCKS)}")
        if not progress.best_update <= progress.update <= progress.updates:
            raise ValueError(
                f"progress.update should be from best_update to updates: got {progress.best_update:,}, "
                f"{progress.update:,}, {progress.updates:,}"
            )
        return self


class _Metrics(Open):
    """A line of metrics.jsonl."""

    update: Count


def write(parent: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint to `parent/update-N`, read it back, remove all but the newest two, and return its folder.

    Raises:
        CheckpointError: it could not be written completely; earlier checkpoints are untouched.
    """
    folder = _folder(parent, checkpoint.progress.update)
    tensors = {name: value.detach().cpu().contiguous() for name, value in checkpoint.tensors.items()}
    manifest = _Manifest(format_version=FORMAT_VERSION, progress=checkpoint.progress, build=checkpoint.build)
    atomic.write(
        folder,
        {
            "tensors.safetensors": safetensors.torch.save(tensors),
            "progress.json": manifest.model_dump_json(indent=2).encode(),
            "metrics.jsonl": checkpoint.metrics,
        },
    )
    atomic.read(folder, FILES)
    for update in updates(parent)[KEEP:]:
        atomic.remove(_folder(parent, update))
    return folder


def read(folder: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        CheckpointError: a file of it is missing, damaged, not written by unrolled, or of a newer format; the message
            names the file.
    """
    files = atomic.read(folder, FILES)
    path = folder / "progress.json"
    refuse_newer(path, files["progress.json"], FORMAT_VERSION)
    manifest = valid(_Manifest, path, files["progress.json"])
    tensors = load_tensors(folder / "tensors.safetensors", files["tensors.safetensors"])
    refuse_infinite(folder / "tensors.safetensors", tensors)
    for number, line in enumerate(files["metrics.jsonl"].splitlines(), start=1):
        valid(_Metrics, f"{folder / 'metrics.jsonl'}, line {number},", line)
    return Checkpoint(manifest.progress, tensors, files["metrics.jsonl"], manifest.build)


def latest(parent: Path) -> Checkpoint | None:
    """Return the newest complete checkpoint, None if there is none at all.

    Damaged ones that are newer are named in a warning, and renamed to `update-N.damaged`.

    Raises:
        CheckpointError: there are checkpoints, and all are damaged.
    """
    damaged = []
    for folder in (_folder(parent, update) for update in updates(parent)):
        try:
            checkpoint = read(folder)
        except CheckpointError as error:
            log.warning("checkpoint %s is not used: %s", folder.name, error)
            damaged.append((folder, error))
            continue
        for other, _ in damaged:
            log.warning("%s, the one before, is used instead", folder.name)
            aside = other.with_name(f"{other.name}.damaged")  # no longer one of the newest two
            with atomic.write_errors(aside):
                shutil.rmtree(aside, ignore_errors=True)
                other.rename(aside)
        return checkpoint
    if damaged:
        raise CheckpointError(
            "no checkpoint is complete: "
            + "; ".join(str(error) for _, error in damaged)
            + ". Train again with --overwrite"
        )
    return None


def updates(parent: Path) -> list[int]:
    """Return the updates of all checkpoints, complete or damaged, the newest first."""
    numbers = (path.name.removeprefix("update-") for path in parent.glob("update-*"))
    return sorted((int(number) for number in numbers if number.isdecimal()), reverse=True)


def _folder(parent: Path, update: int) -> Path:
    return parent / f"update-{update}"
