"""`unrolled train`: from a file to a network that answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from unrolled.cli.progress import Progress, show_log
from unrolled.cli.settings import Settings, resolve

__all__ = ["command"]


def command(
    data: str,
    /,
    *,
    out: Path | None = None,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    config: Path | None = None,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
    quiet: Annotated[bool, Parameter(negative="")] = False,
    settings: Settings = None,
) -> int:
    """Train a network on your data, evaluate it on the held-out part, and keep it in a run folder.

    unrolled train reviews.csv --row gru --text text --label label

    Parameters
    ----------
    data
        CSV, TSV or JSON lines (also .gz or .xz), or a sample's name: sample:films, sample:products.
    out
        Folder of the run; default: the first free runs/DATA-ROW-N.
    overwrite
        Replace the run in --out, once the new one is whole.
    config
        TOML file with settings (see `unrolled config`); flags go before it.
    json_
        Print the result as JSON.
    quiet
        No progress.
    """
    resolved = resolve(settings, config)
    with show_log(quiet), Progress(quiet) as progress:
        from unrolled import api

        run = api.train(data, out=out, runs="runs", overwrite=overwrite, config=resolved, report=progress)
    training = run.record["training"]
    if json_:
        print(json.dumps({"run": str(run.path), **run.record}, ensure_ascii=False))
    else:
        print(run.test.text() if run.test else "The data had no test part, so nothing was evaluated.")
        print(f"\n{training['stopped']}; best of the {training['updates']} updates: {training['best_update']}")
        print(f'saved: {run.path}\ntry:   unrolled decode {run.path} "a text of your own"')
    return 128 + training["signal"] if training["signal"] else 0
