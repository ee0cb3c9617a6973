"""The run folder on disk: written aside and renamed, read without pickle and without executing anything.

config.json          rebuilds the model: format_version, task, row, inputs, labels, special ids, options
model.safetensors    its weights
tokenizer.json       its tokeniser, as the `tokenizers` library reads it
metrics.jsonl        one line an event of the training
run.json             resolved settings, seed, versions, backend, machine, data, how training ended, result
README.md            the model card
SHA256SUMS           of all of them, as `sha256sum --check` reads it: a damaged file is never loaded
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import safetensors
import safetensors.torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from unrolled.config import Config, ModelConfig, sentences
from unrolled.errors import CheckpointError, ConfigError

__all__ = ["FORMAT_VERSION", "Files", "Inputs", "Kept", "claim", "next_folder", "read", "refuse_existing", "write"]

FORMAT_VERSION = 1
SUMS = "SHA256SUMS"
NEEDED = ("config.json", "model.safetensors", "tokenizer.json", "run.json")
M = TypeVar("M", bound=BaseModel)


class Inputs(BaseModel):
    """What config.json says of the model's inputs."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    vocabulary_size: int


class Kept(BaseModel):
    """What config.json holds: all that is needed to rebuild the model, but for its weights."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    library: Literal["unrolled"] = "unrolled"
    format_version: int = FORMAT_VERSION
    task: str
    row: str
    inputs: Inputs
    labels: list[str]
    special_ids: dict[str, int]
    model: ModelConfig


class _Part(BaseModel):
    fingerprint: str


class _Data(BaseModel):
    source: str
    majority: str | None = None
    parts: dict[str, _Part]


class _Record(BaseModel):
    """What run.json must hold, beside whatever else it says."""

    config: Config
    data: _Data


class Files(NamedTuple):
    """What a run folder holds, read and verified."""

    kept: Kept
    weights: dict[str, Tensor]
    tokenizer: str
    config: Config
    record: dict[str, Any]


def next_folder(parent: Path, data: str, row: str) -> Path:
    """Return the first of `parent/<data>-<row>-1`, `-2`, … that nobody has and nobody is writing."""
    stem = f"{re.sub(r'[^A-Za-z0-9_.]+', '-', data).strip('-.') or 'data'}-{row}"
    n = 1
    while (folder := parent / f"{stem}-{n}").exists() or _beside(folder, "partial").exists():
        n += 1
    return folder


def refuse_existing(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that is there, unless it is a run (or empty) and may be overwritten, or that is being written.

    Raises:
        ConfigError: says what to do.
    """
    if folder.exists():
        if not folder.is_dir():
            raise ConfigError(f"{folder} is a file: choose another --out")
        if not overwrite:
            raise ConfigError(f"{folder} is there already: choose another --out, or --overwrite it")
        if any(folder.iterdir()) and not _is_run(folder):
            raise ConfigError(f"{folder} is not a run of unrolled, so it is not overwritten: choose another --out")
    partial = _beside(folder, "partial")
    if partial.exists():
        raise ConfigError(
            f"{partial} is there: another run is writing {folder.name}, or one was killed; if so, remove it"
        )


@contextmanager
def claim(folder: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a fresh folder beside `folder` to write in; it takes the name when the block ends without an error.

    Raises:
        ConfigError: `folder` is there and is not to be overwritten, or another run is writing it.
    """
    refuse_existing(folder, overwrite=overwrite)
    final, partial, old = folder.resolve(), _beside(folder, "partial"), _beside(folder, "old")
    with _saying(folder):
        partial.mkdir(parents=True)
    try:
        yield partial
        with _saying(folder):
            if final.exists():
                shutil.rmtree(old, ignore_errors=True)
                final.rename(old)
            partial.rename(final)
            shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write(
    folder: Path,
    *,
    kept: Kept,
    weights: Mapping[str, Tensor],
    tokenizer: str,
    metrics: Iterable[Mapping[str, Any]],
    record: Mapping[str, Any],
    card: str,
) -> None:
    """Write every file of a run into a folder that is there, and their sums.

    Raises:
        CheckpointError: the disk is full, or cannot be written.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
    files = {
        "README.md": card.encode(),
        "config.json": _json(kept.model_dump()),
        "metrics.jsonl": b"".join(_json(event, indent=None) for event in metrics),
        "model.safetensors": safetensors.torch.save(tensors, {"format": "pt"}),
        "run.json": _json(record),
        "tokenizer.json": tokenizer.encode(),
    }
    files[SUMS] = "".join(f"{_sha256(data)}  {name}\n" for name, data in files.items()).encode()
    with _saying(folder):
        for name, data in files.items():
            _write(folder / name, data)


def read(folder: Path) -> Files:
    """Read a run folder.

    Raises:
        CheckpointError: the folder or a file of it is missing, damaged, not ours, or of a newer format.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise CheckpointError(f"{folder} {what}: give the folder of a finished run (see `unrolled train --help`)")
    missing = [name for name in (*NEEDED, SUMS) if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(
            f"{folder} is not a finished run: {', '.join(missing)} is missing; train again, or copy it"
        )
    files = {name: _read(folder / name) for name in (*NEEDED, SUMS)}
    _refuse_newer(folder / "config.json", files["config.json"])
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in _lines(folder / SUMS, files[SUMS]))}
    for name in NEEDED:
        if sums.get(name) != _sha256(files[name]):
            raise CheckpointError(
                f"{folder / name} ({len(files[name]):,} bytes) is not the file that was saved: its SHA-256 is not the "
                f"one in {SUMS}. One of them is damaged, cut short or from another run; copy it again, or train again"
            )
    kept = _valid(Kept, folder / "config.json", files["config.json"])
    record = _valid(_Record, folder / "run.json", files["run.json"])
    if kept.labels and record.data.majority not in kept.labels:
        raise CheckpointError(f"{folder / 'run.json'} is not ours: its majority is none of the labels")
    try:
        weights = safetensors.torch.load(files["model.safetensors"])
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{folder / 'model.safetensors'} is not a safetensors file: {error}") from None
    tokenizer = "\n".join(_lines(folder / "tokenizer.json", files["tokenizer.json"]))
    return Files(kept, weights, tokenizer, record.config, json.loads(files["run.json"]))


def _refuse_newer(path: Path, data: bytes) -> None:
    """Look at the format's version first: all else may be different in a newer one."""
    version = _object(path, data).get("format_version")
    if not isinstance(version, int):
        raise CheckpointError(f"{path} has no format_version: it is not a run of unrolled")
    if version > FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format_version {version}, and this unrolled reads up to {FORMAT_VERSION}: "
            "install a newer unrolled"
        )


def _object(path: Path, data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: not JSON ({error}); copy it again, or train again") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} is not ours: it holds a {type(value).__name__}, not an object")
    return value


def _lines(path: Path, data: bytes) -> list[str]:
    try:
        return data.decode().split("\n")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path} is damaged: byte {error.start} is not UTF-8; copy it again") from None


def _valid(schema: type[M], path: Path, data: bytes) -> M:
    try:
        return schema.model_validate_json(data)
    except ValidationError as error:
        raise CheckpointError(f"{path} is not ours: {'; '.join(sentences(error))}") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}; check its permissions") from None


def _is_run(folder: Path) -> bool:
    path = folder / "config.json"
    try:
        return path.is_file() and _object(path, _read(path)).get("library") == "unrolled"
    except CheckpointError:
        return False


def _beside(folder: Path, what: str) -> Path:
    folder = folder.resolve()
    return folder.with_name(f".{folder.name}.{what}")


@contextmanager
def _saying(path: Path) -> Iterator[None]:
    """Turn what the system refuses in the block into a sentence about `path`.

    Raises:
        CheckpointError: it was not written.
    """
    try:
        yield
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be written: {error.strerror}; what was there before is unchanged"
        ) from None


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _json(value: Mapping[str, Any], *, indent: int | None = 2) -> bytes:
    return (json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
