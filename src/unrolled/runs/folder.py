"""The folder of a finished run: what is in it, read without pickle and without executing anything.

config.json          rebuilds the model: format_version, task, row, inputs, labels, special ids, options
model.safetensors    its weights
tokenizer.json       its tokeniser, as the `tokenizers` library reads it; of pairs tokenizers.json, one for each side or
                     for both; of images pixels.json, how they are read
metrics.jsonl        one line an event of the training
run.json             resolved settings, seed, versions, backend, machine, data, how training ended, result
README.md            the model card
SHA256SUMS           of all of them, as `sha256sum --check` reads it: a damaged file is never loaded
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

import safetensors
import safetensors.torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from unrolled import atomic
from unrolled.config import Config, ModelConfig, sentences
from unrolled.errors import CheckpointError
from unrolled.models import Features, Ids, Inputs, Pairs
from unrolled.runs import older
from unrolled.runs.preprocessor import FILES, Preprocessor

__all__ = [
    "FORMAT_VERSION",
    "Files",
    "Manifest",
    "SavedFeatures",
    "SavedIds",
    "SavedPairs",
    "is_run",
    "of_training",
    "pack",
    "preprocessor_file",
    "read",
    "read_snapshots",
    "refuse_newer",
    "saved_inputs",
    "to_json",
    "valid",
]

FORMAT_VERSION = 3
SNAPSHOTS = ("snapshots/update-*.safetensors", "probes/update-*.safetensors")  # the second: format version 2
NEEDED = ("config.json", "model.safetensors", "run.json")  # and the preprocessor
M = TypeVar("M", bound=BaseModel)


class SavedIds(BaseModel):
    """What config.json says of a model that reads ids."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    vocabulary_size: int

    def inputs(self) -> Inputs:
        """As a model takes it."""
        return Ids(self.vocabulary_size)


class SavedFeatures(BaseModel):
    """What config.json says of a model that reads vectors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    size: int

    def inputs(self) -> Inputs:
        """As a model takes it."""
        return Features(self.size)


class SavedPairs(BaseModel):
    """What config.json says of a model that reads a source and a target."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    source_size: int
    vocabulary_size: int
    shared: bool

    def inputs(self) -> Inputs:
        """As a model takes it."""
        return Pairs(**self.model_dump())


SavedInputs: TypeAlias = SavedIds | SavedFeatures | SavedPairs


def saved_inputs(inputs: Inputs) -> SavedInputs:
    """Return a model's inputs as config.json keeps them."""
    kinds: dict[type[Inputs], type[SavedInputs]] = {Ids: SavedIds, Features: SavedFeatures, Pairs: SavedPairs}
    return kinds[type(inputs)](**inputs._asdict())


class Manifest(BaseModel):
    """What config.json holds: all that is needed to rebuild the model, but for its weights."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    library: Literal["unrolled"] = "unrolled"
    format_version: int = FORMAT_VERSION
    task: str
    inputs: SavedInputs
    labels: list[str]
    special_ids: dict[str, int]
    model: ModelConfig


class _Split(BaseModel):
    fingerprint: str


class _Data(BaseModel):
    source: str | list[str]
    majority: str | None = None
    splits: dict[str, _Split]


class _Record(BaseModel):
    """What run.json must hold, beside whatever else it says."""

    config: Config
    data: _Data


class Files(NamedTuple):
    """What a run folder holds, read and verified."""

    manifest: Manifest
    weights: dict[str, Tensor]
    preprocessor: str
    text: str  # of that file
    config: Config
    record: dict[str, Any]


def pack(
    *,
    manifest: Manifest,
    weights: Mapping[str, Tensor],
    preprocessor: Preprocessor,
    metrics: Iterable[Mapping[str, Any]],
    record: Mapping[str, Any],
    card: str,
) -> dict[str, bytes]:
    """Return every file of a run but the sums, by name."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
    return {
        "README.md": card.encode(),
        "config.json": to_json(manifest.model_dump()),
        "metrics.jsonl": b"".join(to_json(event, indent=None) for event in metrics),
        "model.safetensors": safetensors.torch.save(tensors, {"format": "pt"}),
        "run.json": to_json(record),
        preprocessor.FILE: preprocessor.to_json().encode(),
    }


def read(folder: Path) -> Files:
    """Read a run folder.

    Raises:
        CheckpointError: the folder or a file of it is missing, damaged, not ours, or of a newer format.
    """
    if (unfinished := of_training(folder)).is_dir() and not (folder / atomic.SUMS).is_file():
        raise CheckpointError(
            f"{folder} is not finished: its training stands in {unfinished}. Go on with "
            f"`unrolled train --resume {folder}`"
        )
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise CheckpointError(f"{folder} {what}: give the folder of a finished run (see `unrolled train --help`)")
    preprocessor = preprocessor_file(folder)
    missing = [name for name in (*NEEDED, preprocessor, atomic.SUMS) if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(
            f"{folder} is not a finished run: {', '.join(missing)} is missing; train again, or copy it"
        )
    with atomic.read_errors(folder / "config.json"):
        refuse_newer(folder / "config.json", (folder / "config.json").read_bytes(), FORMAT_VERSION)
    files = _current(folder, atomic.read(folder, (*NEEDED, preprocessor)))
    manifest = valid(Manifest, folder / "config.json", files["config.json"])
    record = valid(_Record, folder / "run.json", files["run.json"])
    if manifest.labels and record.data.majority not in manifest.labels:
        raise CheckpointError(f"{folder / 'run.json'} is not ours: its majority is none of the labels")
    try:
        weights = older.current_weights(safetensors.torch.load(files["model.safetensors"]))
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{folder / 'model.safetensors'} is not a safetensors file: {error}") from None
    text = files[preprocessor].decode()
    return Files(manifest, weights, preprocessor, text, record.config, json.loads(files["run.json"]))


def read_snapshots(folder: Path) -> dict[int, dict[str, Tensor]]:
    """Return the weights that were saved during the training of a run, by their update, in order; float16.

    Raises:
        CheckpointError: a file of them is damaged.
    """
    paths = [path for pattern in SNAPSHOTS for path in folder.glob(pattern)]
    names = {int(path.stem.removeprefix("update-")): path.relative_to(folder).as_posix() for path in paths}
    files = atomic.read(folder, names.values())
    return {update: older.current_weights(safetensors.torch.load(files[names[update]])) for update in sorted(names)}


def _current(folder: Path, files: dict[str, bytes]) -> dict[str, bytes]:
    """Return the files as this version writes them; `older.py` knows the earlier ones."""
    manifest, record = (_object(folder / name, files[name]) for name in ("config.json", "run.json"))
    if manifest["format_version"] == FORMAT_VERSION:
        return files
    manifest, record = older.current(manifest, record)
    return files | {"config.json": to_json(manifest), "run.json": to_json(record)}


def preprocessor_file(folder: Path) -> str:
    """Return the file of a folder that holds a preprocessor; the first there may be, where there is none."""
    return next((name for name in FILES if (folder / name).is_file()), next(iter(FILES)))


def refuse_newer(path: Path, data: bytes, newest: int) -> int:
    """Return the format version of a file, which is read before anything else: a newer format may differ in all of it.

    Raises:
        CheckpointError: it is above `newest`, or there is none.
    """
    version = _object(path, data).get("format_version")
    if not isinstance(version, int):
        raise CheckpointError(f"{path} has no format_version: it is not a run of unrolled")
    if version > newest:
        raise CheckpointError(
            f"{path} has format_version {version}, and this unrolled reads up to {newest}: install a newer unrolled"
        )
    return version


def _object(path: Path, data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: not JSON ({error}); copy it again, or train again") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} is not ours: it holds a {type(value).__name__}, not an object")
    return value


def valid(schema: type[M], path: Path, data: bytes) -> M:
    """Read JSON as a schema has it.

    Raises:
        CheckpointError: it is not so; the message names the file.
    """
    try:
        return schema.model_validate_json(data)
    except ValidationError as error:
        raise CheckpointError(f"{path} is not ours: {'; '.join(sentences(error))}") from None


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run of ours, whole or not."""
    try:
        return _object(folder / "config.json", (folder / "config.json").read_bytes()).get("library") == "unrolled"
    except (CheckpointError, OSError):
        return False


def of_training(folder: Path) -> Path:
    """Return where the training of a run stands until it is finished."""
    folder = folder if folder.name not in ("", "..") else folder.resolve()
    return folder.with_name(f"{folder.name.removesuffix('.partial')}.partial")


def to_json(value: Mapping[str, Any], *, indent: int | None = 2) -> bytes:
    """Return strict JSON and a line end, in UTF-8."""
    return (json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n").encode()
