"""Checks before anything slow is imported or read: paths, names of samples, and settings without a use."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection
from pathlib import Path

from unrolled.config import Choice, Config, from_flat, refuse_unused, unused
from unrolled.data.reading.addresses import is_file, is_pattern, is_sample, matches
from unrolled.errors import ConfigError, DataError
from unrolled.lineage import architecture, task

__all__ = ["check_data", "check_file", "check_output", "check_run", "check_settings", "unused_by", "ways_of"]

HELD_OUT = ("valid", "test")  # settings that name files


def check_data(data: object, config: Config) -> None:
    """Refuse data, and files of other splits, that do not exist.

    Args:
        data: the argument, or a source and a target file.
        config: settings, which name the files of the other splits.

    Raises:
        DataError: there is no such file or sample, or the sample is for another task.
    """
    for source in data if isinstance(data, tuple) else (data,):
        if is_sample(source):
            from unrolled.data.reading import samples

            samples.find(source, config.task)
        check_file(source)
    for name in HELD_OUT:
        if (file := getattr(config.data, name)) is not None:
            check_file(file)


def check_file(source: str) -> None:
    """Refuse the path of a file or folder that does not exist; other sources of data pass.

    Raises:
        DataError: names the nearest in the same folder.
    """
    path = Path(source)
    if not is_file(source) or path.is_symlink() or path.exists() or (is_pattern(source) and matches(source)):
        return
    if is_pattern(source):
        raise DataError("no file matches this pattern", file=source, fix=f"check it: ls -d {source}")
    raise DataError("there is no such file", file=source, fix=_nearest_path(path) or "check the path")


def _nearest_path(path: Path) -> str:
    """Return a question with the nearest name in the same folder, or "" if none is near."""
    try:
        names = [each.name for each in path.parent.iterdir()]
    except OSError:  # the folder does not exist, or cannot be read
        names = []
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"did you mean {path.with_name(near[0])}?" if near else ""


def check_output(path: Path | None, flag: str, suffix: str | None = None, *more: str) -> None:
    """Refuse the name of a file to write that is a folder, is in none, or has the ending of another format.

    A name without an ending is taken as it is: it may be a pipe or a device.

    Args:
        path: path of the file to write; None: none is named.
        flag: flag that named it, for the message.
        suffix: the ending of its format; None: any.
        more: other endings of that format.

    Raises:
        ConfigError: names the ending, or the folder.
    """
    if path is None:
        return
    if suffix is not None and path.suffix.lower() not in ("", suffix, *more):
        kind = suffix.removeprefix(".").upper()
        raise ConfigError(f"{flag} writes {kind}, so its name must end in {suffix}: got {path}")
    if os.path.isdir(path):  # noqa: PTH112  (Path.is_dir raises where a name is too long)
        raise ConfigError(f"{path} cannot be written: it is a folder; add the name of a file in it to {flag}")
    if not os.path.isdir(path.parent):  # noqa: PTH112
        raise ConfigError(f"{path} cannot be written: there is no folder {path.parent}; make it, or change {flag}")


def check_settings(data: str | None, named: Collection[str], config: Config) -> None:
    """Refuse settings that the task or model does not use. Files are told from images by name only.

    Args:
        data: the argument; None: not named.
        named: settings that were given as flags.
        config: all settings, before those that the data imply.

    Raises:
        ConfigError: names the settings.
    """
    refused: list[ConfigError] = []
    ways = ways_of(data, config)
    for by in ways:
        try:
            refuse_unused(from_flat({"by": by}, base=config), named)
        except ConfigError as error:
            refused.append(error)
    if len(refused) == len(ways):
        raise refused[0]


def check_run(run: Path) -> Config:
    """Return the settings of a run, from the files that describe it; leftovers of a kill are put back before.

    Raises:
        CheckpointError: the run is missing or damaged.
    """
    from unrolled.runs import leftovers
    from unrolled.runs.folder import describe

    leftovers.recover(run)
    return describe(run)[1]


def unused_by(config: Config) -> frozenset[str]:
    """Return the settings that a run does not use."""
    return unused(Choice.of(config))


def ways_of(data: str | None, config: Config) -> list[str | None]:
    """Return the possible values of `by`: None for texts; without data, or with a folder, both kinds are possible."""
    if config.data.by is not None or not task(config.task).images:
        return [config.data.by]
    way = "image" if architecture(config.model.name).whole else "row"
    if is_sample(data):
        from unrolled.data.reading import samples

        return [way if samples.find(data, config.task)[0].images else None]
    if data is None or not Path(data).suffix or Path(data).is_dir():
        return [None, way]
    from unrolled.data.reading.image_names import is_idx, is_image_file

    return [way if is_idx(Path(data)) or is_image_file(Path(data)) else None]
