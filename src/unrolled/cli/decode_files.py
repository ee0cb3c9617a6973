"""`unrolled decode RUN --file … --out FOLDER`: answers for whole files, by all cores."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unrolled.cli.checks import check_run, unused_by
from unrolled.cli.output import print_json
from unrolled.cli.settings import refuse_unused
from unrolled.errors import ConfigError
from unrolled.strings import counted

__all__ = ["decode_files"]

log = logging.getLogger("unrolled.cli")

TABLES = ("text", "header", "separator", "on_bad_row")
"""Settings that say how a table is read, for runs of every task."""


def decode_files(
    runs: Sequence[Path],
    files: Sequence[str],
    out: Path,
    how: dict[str, Any],
    *,
    threads: int | None,
    device: str,
    json: bool,
) -> None:
    """Write the answers for files to a folder, and print their numbers.

    Args:
        runs: folders of the runs.
        files: files, folders and patterns.
        out: the folder.
        how: settings, options and flags of the answers that were given, by name.
        threads: the flag, which has no use here.
        device: device to compute on.
        json: whether to print JSON.
    """
    if not files:
        raise ConfigError("--out needs files: add --file FILE, a folder or a pattern in quotes")
    if threads is not None:
        raise ConfigError("with --out each process has one thread: use --workers in place of --threads")
    config, *_ = map(check_run, runs)
    unused = set(unused_by(config)) - (set() if config.task == "translate" else set(TABLES))
    refuse_unused([name for name in how if name != "truncate"], unused, config.task)
    from unrolled import api
    from unrolled.cli.progress import FilesProgress, show_log

    with show_log(), FilesProgress() as progress:
        result = api.decode_files(runs, files, out, device=device, report=progress, **how)
    if json:
        print_json(result.to_dict())
        return
    speed = f", {result.answered / max(result.seconds, 1e-9):,.0f} rows/s" if result.answered else ", finished before"
    print(f"{out}: {result.shards:,} file{'s'[: result.shards != 1]}, {result.rows:,} rows{speed}")
    if result.errors:
        rows = f"{counted(result.errors, 'row')} {'has' if result.errors == 1 else 'have'}"
        print(f"{rows} no answer: the column {how.get('answer_prefix', '')}error says why")
    if result.blank:
        print(f"{result.blank:,} blank line{'s'[: result.blank != 1]} answered by a blank line")
