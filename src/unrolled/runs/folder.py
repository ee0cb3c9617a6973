"""The folder of a finished run, read without pickle and without executing anything; torch is imported to write one.

config.json          the manifest, which rebuilds the model: format_version, task, inputs, labels, special ids, model
model.safetensors    its weights
tokenizer.json       its tokeniser, in the format of the `tokenizers` library; for pairs tokenizers.json, with one for
                     each side or for both; for images pixels.json, with the order and scale of the pixels
metrics.jsonl        one line an event of the training
run.json             resolved settings, seed, versions, backend, machine, data, the end of the training, result
README.md            the model card
SHA256SUMS           their hashes, in the format of `sha256sum --check`: a damaged file is never loaded
snapshots/           weights during the training in float16, of a training with --keep snapshots
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from unrolled import atomic
from unrolled.config import Config
from unrolled.errors import CheckpointError, ConfigError, nearest
from unrolled.runs import older
from unrolled.runs.schema import FORMAT_VERSION, Manifest, Record, record_schema
from unrolled.saved import decoded, parse, valid

if TYPE_CHECKING:
    from torch import Tensor

    from unrolled.runs.preprocessor import Preprocessor

__all__ = [
    "METRICS",
    "NEEDED",
    "PARTIAL_ENDING",
    "PREPROCESSORS",
    "WEIGHTS",
    "Files",
    "describe",
    "fingerprint",
    "is_run",
    "of_training",
    "pack",
    "preprocessor_file",
    "read",
    "refuse_missing",
    "refuse_newer",
    "to_json",
]

PARTIAL_ENDING = ".partial"
WEIGHTS = "model.safetensors"
METRICS = "metrics.jsonl"
PREPROCESSORS = ("tokenizer.json", "pixels.json", "tokenizers.json")
"""The names of the preprocessors' files, see `preprocessor.FILES`."""
NEEDED = ("config.json", WEIGHTS, "run.json")  # next to the preprocessor's file


class Files(NamedTuple):
    """The content of a run folder, whose sums and schemas hold.

    Args:
        manifest: contents of config.json.
        weights: contents of model.safetensors.
        preprocessor: the name of the preprocessor's file.
        text: its content.
        config, record: the settings and the whole of run.json.
    """

    manifest: Manifest
    weights: bytes
    preprocessor: str
    text: str
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
    """Return the files of a run by name, all but SHA256SUMS."""
    import safetensors.torch

    tensors = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
    return {
        "README.md": card.encode(),
        "config.json": to_json(manifest.model_dump()),
        METRICS: b"".join(to_json(event, indent=None) for event in metrics),
        "model.safetensors": safetensors.torch.save(tensors, {"format": "pt"}),
        "run.json": to_json(record),
        preprocessor.FILE: preprocessor.to_json().encode(),
    }


def read(folder: Path) -> Files:
    """Read a run folder.

    Raises:
        CheckpointError: the folder or a file of it is missing, damaged, not written by unrolled, or of a newer format.
    """
    refuse_missing(folder)
    preprocessor = preprocessor_file(folder)
    with atomic.read_errors(folder / "config.json"):
        refuse_newer(folder / "config.json", (folder / "config.json").read_bytes(), FORMAT_VERSION)
    files = _current(folder, atomic.read(folder, (*NEEDED, preprocessor)))
    manifest, record = _valid(folder, files)
    text = decoded(folder / preprocessor, files[preprocessor])
    return Files(manifest, files[WEIGHTS], preprocessor, text, record.config, json.loads(files["run.json"]))


def describe(folder: Path) -> tuple[Manifest, Config, dict[str, Any]]:
    """Return config.json, the settings and the whole of run.json, without a look at the weights and the sums.

    Raises:
        CheckpointError: as `read`.
    """
    refuse_missing(folder)
    files = {}
    for name in ("config.json", "run.json"):
        with atomic.read_errors(folder / name):
            files[name] = (folder / name).read_bytes()
    refuse_newer(folder / "config.json", files["config.json"], FORMAT_VERSION)
    files = _current(folder, files)
    manifest, record = _valid(folder, files)
    return manifest, record.config, json.loads(files["run.json"])


def fingerprint(folder: Path) -> str:
    """Return the SHA-256 of the sums of the files that decide a run's answers: weights, preprocessor, descriptions.

    Raises:
        CheckpointError: the folder is no finished run.
    """
    refuse_missing(folder)
    names = (*NEEDED, preprocessor_file(folder))
    sums = atomic.sums(folder)
    return hashlib.sha256(atomic.sums_file({name: sums.get(name, "") for name in names})).hexdigest()


def refuse_missing(folder: Path) -> None:
    """Refuse a folder that is missing, that of a training, or without a file that each run has.

    Raises:
        CheckpointError: says what is missing.
    """
    if (partial := of_training(folder)).is_dir() and not (folder / atomic.SUMS).is_file():
        raise CheckpointError(
            f"{folder} is not finished: its training is saved in {partial}. Resume it with "
            f"`unrolled train --resume {folder}`"
        )
    if not folder.is_dir():
        names = [path.name for path in folder.parent.iterdir() if path.is_dir()] if folder.parent.is_dir() else []
        problem = "is a file" if folder.exists() else f"does not exist{nearest(folder.name, names)}"
        raise CheckpointError(f"{folder} {problem}: give the folder of a finished run (`unrolled runs` lists them)")
    missing = [name for name in (*NEEDED, preprocessor_file(folder), atomic.SUMS) if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(
            f"{folder} is not a finished run: {', '.join(missing)} is missing; copy it again, or train again"
        )


def _valid(folder: Path, files: Mapping[str, bytes]) -> tuple[Manifest, Record[Any, Any]]:
    manifest = valid(Manifest, folder / "config.json", files["config.json"])
    return manifest, valid(record_schema(manifest), folder / "run.json", files["run.json"])


def _current(folder: Path, files: dict[str, bytes]) -> dict[str, bytes]:
    """Return the files in the present format; see `older` for the earlier ones."""
    manifest, record = (_object(folder / name, files[name]) for name in ("config.json", "run.json"))
    if manifest["format_version"] == FORMAT_VERSION:
        return files
    manifest, record = older.current(manifest, record)
    return files | {"config.json": to_json(manifest), "run.json": to_json(record)}


def preprocessor_file(folder: Path) -> str:
    """Return the name of the preprocessor's file in a folder; the first possible name if there is none."""
    return next((name for name in PREPROCESSORS if (folder / name).is_file()), PREPROCESSORS[0])


def refuse_newer(path: Path, data: bytes, newest: int) -> int:
    """Return the format version of a JSON file, which is read first since the rest of a newer format is unknown.

    Args:
        path: path of the file, for the message.
        data: the bytes of the file.
        newest: the newest version that can be read.

    Raises:
        CheckpointError: the version is above `newest`, or there is none.
    """
    version = _object(path, data).get("format_version")
    if type(version) is not int or version < 1:
        raise CheckpointError(f"{path} has no format_version: it is not a run of unrolled")
    if version > newest:
        raise CheckpointError(
            f"{path} has format_version {version:,}, and this unrolled reads up to {newest}: install a newer unrolled"
        )
    return version


def _object(path: Path, data: bytes) -> dict[str, Any]:
    value = parse(path, data)
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} was not written by unrolled: it holds a {type(value).__name__}, not an object")
    return value


def is_run(folder: Path) -> bool:
    """Return whether a folder holds a run of unrolled, complete or not."""
    try:
        return _object(folder / "config.json", (folder / "config.json").read_bytes()).get("library") == "unrolled"
    except (CheckpointError, OSError):
        return False


def of_training(folder: Path) -> Path:
    """Return the folder of a run's training, `<run>.partial`; a folder of that name is returned as it is.

    Raises:
        ConfigError: the folder is the root of the file system.
    """
    if folder.name in ("", "..") or (folder.is_symlink() and folder.exists()):  # renamed within one file system
        folder = folder.resolve()
    if not folder.name:
        raise ConfigError(f"{folder} is the root of the file system, not a run: name a folder")
    return folder.with_name(f"{folder.name.removesuffix(PARTIAL_ENDING)}{PARTIAL_ENDING}")


def to_json(value: Mapping[str, Any], *, indent: int | None = 2) -> bytes:
    """Return strict JSON in UTF-8, with a line end."""
    return (json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n").encode()
