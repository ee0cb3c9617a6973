"""The run folder on disk: written aside and renamed, read without pickle and without executing anything.

config.json          rebuilds the model: format_version, task, row, inputs, labels, special ids, options
model.safetensors    its weights
tokenizer.json       its tokeniser, as the `tokenizers` library reads it
metrics.jsonl        one line an event of the training
run.json             resolved settings, seed, versions, backend, machine, data, result, SHA-256 of the files above
README.md            the model card
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from unrolled.errors import CheckpointError, ConfigError

__all__ = ["FORMAT_VERSION", "claim", "next_folder", "read", "read_json", "refuse_existing", "write"]

FORMAT_VERSION = 1
NEEDED = ("config.json", "model.safetensors", "tokenizer.json", "run.json")


def next_folder(parent: Path, data: str, row: str) -> Path:
    """Return the first of `parent/<data>-<row>-1`, `-2`, … that nobody has and nobody is writing."""
    stem = f"{re.sub(r'[^A-Za-z0-9_.]+', '-', data).strip('-.') or 'data'}-{row}"
    n = 1
    while (folder := parent / f"{stem}-{n}").exists() or _partial(folder).exists():
        n += 1
    return folder


def refuse_existing(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that is there, unless it is a run (or empty) and may be overwritten.

    Raises:
        ConfigError: says what to do.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ConfigError(f"{folder} is a file: choose another --out")
    if not overwrite:
        raise ConfigError(f"{folder} is there already: choose another --out, or --overwrite it")
    if any(folder.iterdir()) and not (folder / "config.json").is_file():
        raise ConfigError(f"{folder} is not a run folder (no config.json), so it is not overwritten")


@contextmanager
def claim(folder: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a fresh folder beside `folder` to write in; it takes the name when the block ends without an error.

    Raises:
        ConfigError: `folder` is there and is not to be overwritten, or another run is writing it.
    """
    refuse_existing(folder, overwrite=overwrite)
    partial = _partial(folder)
    try:
        partial.mkdir(parents=True)
    except FileExistsError:
        raise ConfigError(
            f"{partial} is there: another run is writing {folder.name}, or one was killed; if so, remove it"
        ) from None
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror}") from None
    try:
        yield partial
        if folder.exists():
            old = folder.with_name(f".{folder.name}.old")
            folder.rename(old)
            partial.rename(folder)
            shutil.rmtree(old)
        else:
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write(
    folder: Path, *, config: Mapping[str, Any], weights: Mapping[str, Tensor], tokenizer: str, record: Mapping[str, Any]
) -> None:
    """Write config.json, model.safetensors, tokenizer.json, and run.json with the SHA-256 of all that is there."""
    _write(folder / "config.json", _json(config))
    tensors = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
    _write(folder / "model.safetensors", safetensors.torch.save(tensors, {"format": "pt"}))
    _write(folder / "tokenizer.json", tokenizer.encode())
    sums = {path.name: _sha256(path.read_bytes()) for path in sorted(folder.iterdir()) if path.name != "run.json"}
    _write(folder / "run.json", _json({**record, "sha256": sums}))


def read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor], str, dict[str, Any]]:
    """Read a run folder -> its config, weights, tokeniser and record.

    Raises:
        CheckpointError: the folder or a file of it is missing, damaged, not ours, or of a newer format.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise CheckpointError(f"{folder} {what}: give the folder of a finished run (see `unrolled train --help`)")
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(
            f"{folder} is not a finished run: {', '.join(missing)} is missing; train again, or copy it"
        )
    config, record = read_json(folder / "config.json"), read_json(folder / "run.json")
    version = config.get("format_version")
    if not isinstance(version, int):
        raise CheckpointError(f"{folder / 'config.json'} has no format_version: it is not a run of unrolled")
    if version > FORMAT_VERSION:
        raise CheckpointError(
            f"{folder / 'config.json'} has format_version {version}, and this unrolled reads up to {FORMAT_VERSION}: "
            "install a newer unrolled"
        )
    for name in NEEDED[:-1]:
        _verify(folder / name, record)
    try:
        weights = safetensors.torch.load((folder / "model.safetensors").read_bytes())
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{folder / 'model.safetensors'} is not a safetensors file: {error}") from None
    return config, weights, (folder / "tokenizer.json").read_text(encoding="utf-8"), record


def read_json(path: Path) -> dict[str, Any]:
    """Read one JSON object.

    Raises:
        CheckpointError: the file is not one; the message names the place.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: not JSON ({error}); copy it again, or train again") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} is not ours: it holds a {type(value).__name__}, not an object")
    return value


def _verify(path: Path, record: Mapping[str, Any]) -> None:
    sums = record.get("sha256")
    wanted = sums.get(path.name) if isinstance(sums, dict) else None
    if wanted is None:
        raise CheckpointError(f"{path.parent / 'run.json'} is not ours: it has no SHA-256 of {path.name}")
    if _sha256(path.read_bytes()) != wanted:
        size = path.stat().st_size
        raise CheckpointError(
            f"{path} ({size:,} bytes) is not the file that was saved: its SHA-256 differs from the one in run.json. "
            "It is damaged, cut short, or from another run; copy it again, or train again"
        )


def _partial(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.partial")


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
