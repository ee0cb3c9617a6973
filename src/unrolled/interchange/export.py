"""The export of a finished run, in any format of the table."""

from __future__ import annotations

import importlib
from pathlib import Path

from unrolled import atomic
from unrolled.errors import ConfigError, ExportError, nearest
from unrolled.interchange.formats import FORMATS, RECORD
from unrolled.lineage import architecture
from unrolled.runs.claim import refuse_place
from unrolled.runs.run import Run

__all__ = ["export", "refuse_existing"]


def export(run: Run, out: Path, *, to: str, overwrite: bool = False, **options: int | None) -> Path:
    """Write a run in a format of another library, and return the folder.

    Args:
        run: the run.
        out: the folder to write.
        to: name of the format, a key of FORMATS.
        overwrite: whether an export in `out` may be replaced; it is, once the new one is complete.
        options: options of the format; None: its default.

    Raises:
        ConfigError: an unknown format, an option that it does not have or out of range, a library that is not
            installed, `out` exists, or the run is an ensemble.
        ExportError: a layer or cell that the format cannot express, or answers that are not the run's.
        CheckpointError: the folder cannot be written.
    """
    if to not in FORMATS:
        raise ConfigError(f'format "{to}" is unknown{nearest(to, FORMATS)}; formats are {", ".join(FORMATS)}')
    chosen = {name: value for name, value in options.items() if value is not None}
    if foreign := [name for name in chosen if name not in FORMATS[to].options]:
        raise ConfigError(f"format {to} has no option {foreign[0]}: remove it")
    if run.members:
        raise ConfigError("an ensemble cannot be exported, but each of its runs can")
    if architecture(run.config.model.name).mixers:
        raise ExportError(
            f"model {run.config.model.name} has recurrences that no other library's format has operators for yet: use "
            "its run folder, whose model.safetensors has all weights, with `unrolled.load`"
        )
    refuse_existing(out, overwrite=overwrite)
    module, _, function = FORMATS[to].path.partition(":")
    getattr(importlib.import_module(module), function)(run, out, **chosen)
    return out


def refuse_existing(out: Path, *, overwrite: bool) -> None:
    """Refuse the folder of a new export if it exists, unless it is an export (or empty) and may be overwritten.

    Raises:
        ConfigError: says what to do.
    """
    with atomic.write_errors(out):
        refuse_place(out)
        if not out.exists():
            return
        if not out.is_dir():
            raise ConfigError(f"{out} is a file: choose another --out")
        if not overwrite:
            raise ConfigError(f"{out} exists already: choose another --out, or --overwrite it")
        if any(out.iterdir()) and not (atomic.is_atomic(out) and (out / RECORD).is_file()):
            raise ConfigError(f"{out} is not an export of unrolled, so it is not overwritten: choose another --out")
