"""`unrolled train`: from a file to a network that answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from unrolled.cli.output import Json, decode_command, print_json
from unrolled.cli.settings import ConfigFile, Settings, resolve

__all__ = ["command"]


def command(
    data: str,
    /,
    *,
    out: Path | None = None,
    overwrite: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    config: ConfigFile = None,
    json: Json = False,
    quiet: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    settings: Settings = None,
) -> int:
    """Train a network on your data, evaluate it on the held-out part, and keep it in a run folder.

    unrolled train sample:films

    unrolled train reviews.csv --row lstm --text review --label stars --out runs/reviews

    Parameters
    ----------
    data
        CSV, TSV or JSON lines (also .gz or .xz), or a sample's name: sample:films, sample:products.
    out
        Folder of the run; default: the first free runs/DATA-ROW-N.
    overwrite
        Replace the run in --out, once the new one is whole.
    config
        TOML file with settings (see "unrolled config"); flags go before it.
    json
        Print the result as JSON.
    quiet
        No progress.
    """
    resolved = resolve(settings, config)
    from unrolled import api
    from unrolled.cli.progress import Progress, show_log

    with show_log(quiet), Progress() as progress:
        run = api.train(data, out=out, runs="runs", overwrite=overwrite, config=resolved, report=progress)
    training = run.record["training"]
    if json:
        print_json({"run": str(run.path), **run.record})
    else:
        print(run.test.text() if run.test else "The data had no test part, so nothing was evaluated.")
        print(f"\n{training['stopped']}; best of the {training['updates']} updates: {training['best_update']}")
        print(f"saved: {run.path}\ntry:   {decode_command(run.path)}")
    return 128 + training["signal"] if training["signal"] else 0
