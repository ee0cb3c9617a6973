"""`unrolled evaluate`: how good a trained network is on held-out examples."""

from __future__ import annotations

from pathlib import Path

from unrolled.cli.output import Json, print_json
from unrolled.cli.settings import DataName, DeviceFlag, ReadSettings, given, refuse_given

__all__ = ["command"]


def command(
    run: Path,
    data: DataName | None = None,
    /,
    *,
    json: Json = False,
    device: DeviceFlag = "auto",
    settings: ReadSettings = None,
) -> None:
    """Evaluate a run: accuracy and macro-F1 with intervals, the classes, by length; or bits per character.

    unrolled evaluate runs/films-gru-1

    unrolled evaluate runs/films-gru-1 more.csv

    Parameters
    ----------
    run
        Folder of a run.
    data
        CSV, TSV, JSON lines or Parquet, an IDX file or a folder of images by class, CoNLL-U or two columns for task
        tag, plain text for task generate, - for standard input, a sample's name, or hub:NAME; default: the test part
        that the run was trained beside.
    json
        Print JSON.
    device
        Where to compute.
    """
    from unrolled import api, tasks
    from unrolled.cli.progress import show_log

    with show_log():
        loaded = api.load(run, device=device)
        refuse_given(settings, tasks.of(loaded.config).unused, loaded.config.task)
        result = loaded.evaluate(data, **given(settings))
    if json:
        print_json(result.to_dict())
    else:
        print(result.text())
