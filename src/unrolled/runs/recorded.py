"""Recorded data: what a run says about the files it was trained on is believed only as far as it can be checked.

A run may come from anybody, and its record names files. So recorded data are read without being named by the user only
if they are a sample or a synthetic task of the package, or local files whose number, sizes and SHA-256 equal the
record. All other data are named on the command line, and no question is asked.

The sum of one file is the SHA-256 of its bytes. That of a folder, or of IDX images with their labels, is the SHA-256 of
a list like that of `sha256sum`: a line for each file, sorted by name.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from unrolled.config import DataConfig
from unrolled.data.reading import idx, parallel
from unrolled.data.reading.addresses import NOT_REREADABLE, is_file, is_pattern, is_sample, matches
from unrolled.data.reading.files import unpacked_name
from unrolled.data.reading.image_files import is_image_file
from unrolled.data.reading.shards import files_of
from unrolled.data.reading.text_folders import is_text_file
from unrolled.errors import DataError, excerpt

__all__ = ["absolute", "refuse_unverified", "sum_of", "sums_of"]

Sum = Mapping[str, Any]
Command = Callable[[str, str], str]
BLOCK = 1 << 20  # bytes read at a time


def absolute(source: str | Path) -> str:
    """Return the absolute path of a file, which is valid in any working directory; the name of any other source."""
    return str(Path(source).resolve()) if is_file(str(source)) else str(source)


def sums_of(data: object, config: DataConfig) -> list[dict[str, Any]]:
    """Return number, size and SHA-256 of the files of each source of a training that is a local file or folder.

    A source that cannot be read has no sum: the reader will report it.

    Args:
        data: the data, as the user named them.
        config: may name files of other splits.
    """
    named = [data] if isinstance(data, str | Path) else data if isinstance(data, list | tuple) else []
    sources = [str(each) for each in named if isinstance(each, str | Path)]
    sources += [each for each in (config.valid, config.test) if each is not None]
    files = [file for source in sources if is_file(source) for file in _with_sides(absolute(source), config)]
    sums = {file: sum_of(Path(file)) for file in dict.fromkeys(files)}
    return [{"source": source, **found} for source, found in sums.items() if found is not None]


def refuse_unverified(
    data: Mapping[str, Any], config: DataConfig, *, named: Collection[str], command: Command, give: str
) -> None:
    """Refuse recorded data that cannot be read again, or that are not those of the record.

    Args:
        data: the record, with `source` and, except in runs of earlier versions, `sums`.
        config: may name files of other splits, as recorded.
        named: those of "data", "valid" and "test" that the user has named, which are not checked.
        command: (one of these three, source) -> the command that names this source, for the message.
        give: the advice where the source was Python objects or standard input.

    Raises:
        DataError: names the source, the reason, and the command.
    """
    sources, sums = data["source"], data.get("sums")
    every = [("data", source) for source in ([sources] if isinstance(sources, str) else sources)]
    every += [(role, file) for role, file in (("valid", config.valid), ("test", config.test)) if file is not None]
    every = [(role, file) for role, source in every for file in _with_sides(source, config)]
    by_source = {each["source"]: each for each in sums or ()}
    for role, source in every:
        if role in named or is_sample(source):
            continue
        if source in NOT_REREADABLE:
            raise DataError(f"this run was trained on {NOT_REREADABLE[source]}", fix=give)
        fix = f"name the data yourself: `{command(role, source)}`"
        if not is_file(source):
            raise DataError("the data of this run are not local, and are not fetched unasked", file=source, fix=fix)
        if problem := _difference(Path(source), by_source.get(source), recorded_any=sums is not None):
            raise DataError(problem, file=source, fix=fix)


def _with_sides(source: str, config: DataConfig) -> list[str]:
    """Return a source, or all files that it stands for, if it is one of parallel files or a folder of such files."""
    if not is_file(source):
        return [source]
    return [str(file) for file in parallel.sides(Path(source), config.source, config.target)] or [source]


def _difference(path: Path, recorded: Sum | None, *, recorded_any: bool) -> str | None:
    """Return the difference between a file or folder and its record, None if there is none."""
    try:
        if not path.exists() and not _shards(path):
            return "the data of the training no longer exist"
        if recorded is None:
            return "the run has no SHA-256 of these data" + ("" if recorded_any else ": an earlier unrolled trained it")
        files = list(islice(_files(path), recorded["files"] + 1))
        sizes = sum(file.stat().st_size for file in files)
        if len(files) != recorded["files"]:
            return f"these are not the data of the training: their number of files is not {recorded['files']:,}"
        if sizes != recorded["bytes"]:
            return f"these are not the data of the training: {sizes:,} bytes, not {recorded['bytes']:,}"
        if _digest(path, files) != recorded["sha256"]:
            return "these are not the data of the training: their SHA-256 differs"
    except (OSError, ValueError) as error:
        return f"the data of the training cannot be read: {excerpt(str(error))}"
    return None


def sum_of(path: Path) -> dict[str, Any] | None:
    """Return number, size and SHA-256 of a file or folder; None if it cannot be read."""
    try:
        files = list(_files(path))
        total = sum(file.stat().st_size for file in files)
        return {"files": len(files), "bytes": total, "sha256": _digest(path, files)} if files else None
    except (OSError, ValueError):
        return None


def _files(path: Path) -> Iterator[Path]:
    """Yield the regular files that a source is read from, below a folder in no order."""
    if shards := _shards(path):
        yield from shards
        return
    if path.is_dir():
        plain: list[Path] = []
        found = False
        for file in _visible(path):
            if _is_data(file):
                found = True
                yield file
            elif is_text_file(file):
                plain.append(file)
        yield from () if found else plain
        return
    together = [path]
    if idx.is_idx(path):
        try:
            together.append(idx.labels_file(path))
        except DataError:  # the reader will report it
            return
        together.append(path.with_name(idx.LABEL_NAMES))
    yield from (file for file in together if file.is_file())


def _shards(path: Path) -> list[Path]:
    """Return the shards that a folder or a pattern stands for; none for other paths, and where nothing matches."""
    return [] if is_pattern(str(path)) and not matches(str(path)) else files_of(path)


def _visible(folder: Path) -> Iterator[Path]:
    """Yield the regular files below a folder that are not hidden, in no order."""
    for at, _, names in os.walk(folder):
        for file in (Path(at, name) for name in names):
            if not any(part.startswith(".") for part in file.relative_to(folder).parts) and file.is_file():
                yield file


def _is_data(path: Path) -> bool:
    """Return whether a file in a folder is data by its name: an image, IDX, or text."""
    return is_image_file(path) or idx.is_idx(path) or unpacked_name(path.name).endswith(".txt")


def _digest(path: Path, files: list[Path]) -> str:
    """Return the sum of files that a source is read from, see above."""
    if files == [path]:
        return _sha256(path)
    names = {os.path.relpath(file, path if path.is_dir() else path.parent): file for file in files}
    lines = (f"{_sha256(names[name])}  {name}\n".encode("utf-8", "surrogateescape") for name in sorted(names))
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line)
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    """Return the SHA-256 of a file; an empty one is not opened, as those of an operating system block or never end."""
    digest, left = hashlib.sha256(), path.stat().st_size
    if left:
        with path.open("rb") as file:
            while left > 0 and (block := file.read(min(BLOCK, left))):
                digest.update(block)
                left -= len(block)
    return digest.hexdigest()
