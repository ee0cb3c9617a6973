"""`unrolled evaluate`: how good a trained network is on held-out examples."""

from __future__ import annotations

from pathlib import Path

from unrolled.cli.output import Json, print_json
from unrolled.cli.settings import DeviceFlag, ReadSettings, given

__all__ = ["command"]


def command(
    run: Path,
    data: str | None = None,
    /,
    *,
    json: Json = False,
    device: DeviceFlag = "auto",
    settings: ReadSettings = None,
) -> None:
    """Evaluate a run: accuracy and macro-F1 with intervals, a table per class, the confusion matrix, by length.

    unrolled evaluate runs/films-gru-1

    unrolled evaluate runs/films-gru-1 more.csv

    Parameters
    ----------
    run
        Folder of a run.
    data
        CSV, TSV or JSON lines, or a sample's name; default: the test part that the run was trained beside.
    json
        Print JSON.
    device
        Where to compute.
    """
    from unrolled import api
    from unrolled.cli.progress import show_log

    with show_log():
        result = api.load(run, device=device).evaluate(data, **given(settings))
    if json:
        print_json(result.to_dict())
    else:
        print(result.text())
