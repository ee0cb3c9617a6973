"""Data of a training that are read, split and encoded once, and then opened memory-mapped from the cache.

    <cache>/examples/<key>/*.array           texts, labels, lines, rows of each split, ids, targets
    <cache>/examples/<key>/tokenizer.json    the tokenizer; of pairs tokenizers.json
    <cache>/examples/<key>/manifest.json     version, key, type and shape of each array, counts, issues
    <cache>/examples/<key>/SHA256SUMS        their hashes, checked whenever the folder is opened

The key is a hash of everything that decides the content: the bytes of the files, their names as they were given, the
settings of the data, the task, the tokenizer if it was given, and the version of this format. Only files of more than
CACHED_FROM bytes are cached, and no folds of a cross-validation, which would be K copies. A cache that cannot be
written is reported, and the training goes on without it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from unrolled import atomic
from unrolled.config import Config
from unrolled.data.encoding.cache import CacheError, cached, folder_of, map_array, write_array
from unrolled.data.splits.stored import Content
from unrolled.errors import CheckpointError, DataError
from unrolled.runs.preprocessor import FILES, Preprocessor
from unrolled.runs.recorded import sums_of
from unrolled.saved import Digest, Strict, decoded, valid
from unrolled.training.task import Task

__all__ = ["CACHED_FROM", "read_cached"]

VERSION = 1
CACHED_FROM = 10_000_000
"""Bytes of the files of a training from which on they are cached."""
MANIFEST = "manifest.json"

Sums = Sequence[Mapping[str, Any]]

log = logging.getLogger("unrolled")


class _Array(Strict):
    """An array in manifest.json."""

    type: str
    shape: list[int]


class _Manifest(Strict):
    """The content of manifest.json."""

    version: Literal[1]
    key: dict[str, Any]
    preprocessor: Digest
    file: str  # of the preprocessor
    arrays: dict[str, _Array]
    facts: dict[str, Any]


def read_cached(kind: type[Task], data: object, config: Config, preprocessor: Preprocessor | None, sums: Sums) -> Task:
    """Read the data of a training, or open them in the cache.

    Args:
        kind: the task.
        data, config, preprocessor: see `Task.read`.
        sums: checksums of the files, taken before.

    Raises:
        DataError: as `Task.read`; or a file has changed while it was read.
    """
    small = sum(each["bytes"] for each in sums) < CACHED_FROM
    if small or not kind.CACHED or config.data.folds is not None:
        return kind.read(data, config, preprocessor)
    key = _key(kind, data, config, sums, preprocessor)
    folder = folder_of(config.data, "examples", key)
    built: list[Task] = []

    def build(partial: Path) -> None:
        task = kind.read(data, config, preprocessor)
        built.append(task)
        if sums_of(data, config.data) != list(sums):
            raise DataError(
                "the data have changed while they were read", file=str(data), fix="start again when they are complete"
            )
        _write(partial, key, task)

    try:
        task, new = cached(folder, lambda complete: _open(complete, key, kind, data, config), build)
    except CacheError as error:
        log.warning("the training goes on without a cache: %s", error)
        return built[0] if built else kind.read(data, config, preprocessor)
    if not new:
        log.info("rows and ids of %s read from the cache: %s", data, folder)
        task.log_read()
    return task


def _key(
    kind: type[Task], data: object, config: Config, sums: Sums, preprocessor: Preprocessor | None
) -> dict[str, Any]:
    """Return all that decides the content of a folder.

    A tokenizer that is given decides it, too, unless it is the one that was learned from the same data.
    """
    learned = {
        "version": VERSION,
        "task": kind.__name__,
        "data": [str(each) for each in (data if isinstance(data, list | tuple) else [data])],
        "sums": [[each["files"], each["bytes"], each["sha256"]] for each in sums],
        "settings": config.data.model_dump(mode="json", exclude={"cache"}),
    }
    if preprocessor is None:
        return learned
    digest = _digest(preprocessor.to_json())
    try:
        made = _manifest(folder_of(config.data, "examples", learned)).preprocessor
    except CheckpointError:  # damaged or missing: it is built anyway
        made = ""
    return learned if made == digest else {**learned, "preprocessor": digest}


def _write(folder: Path, key: Mapping[str, Any], task: Task) -> None:
    """Write the content of a task into a folder."""
    content, preprocessor = task.content(), task.preprocessor.to_json()
    sums = {_file(name): write_array(folder / _file(name), values) for name, values in content.arrays.items()}
    manifest = {
        "version": VERSION,
        "key": key,
        "preprocessor": _digest(preprocessor),
        "file": task.preprocessor.FILE,
        "arrays": {name: {"type": values.dtype.str, "shape": values.shape} for name, values in content.arrays.items()},
        "facts": content.facts,
    }
    for name, text in {task.preprocessor.FILE: preprocessor, MANIFEST: json.dumps(manifest) + "\n"}.items():
        (folder / name).write_bytes(text.encode())
        sums[name] = _digest(text)
    (folder / atomic.SUMS).write_bytes(atomic.sums_file(sums))


def _open(folder: Path, key: Mapping[str, Any], kind: type[Task], data: object, config: Config) -> Task:
    """Return the task with the content of a folder, after a check of all its sums.

    Raises:
        CheckpointError: it is damaged, or has other data.
    """
    manifest = _manifest(folder)
    if manifest.key != json.loads(json.dumps(key)):
        raise CheckpointError(f"{folder} has other data than its name says")
    atomic.check(folder, map(_file, manifest.arrays))
    arrays = {
        name: map_array(folder / _file(name), np.dtype(each.type), tuple(each.shape))
        for name, each in manifest.arrays.items()
    }
    text = decoded(folder / manifest.file, atomic.read(folder, (manifest.file,))[manifest.file])
    preprocessor = FILES[manifest.file].from_json(text, folder / manifest.file)
    return kind.restore(data, config, preprocessor, Content(arrays, manifest.facts))


def _manifest(folder: Path) -> _Manifest:
    return valid(_Manifest, folder / MANIFEST, atomic.read(folder, (MANIFEST,))[MANIFEST])


def _file(name: str) -> str:
    return re.sub(r"\W+", "-", name) + ".array"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
