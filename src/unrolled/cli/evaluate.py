"""`unrolled evaluate`: how good a trained network is on held-out examples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from unrolled.cli.output import Json, print_json
from unrolled.cli.settings import DataName, DeviceFlag, ReadSettings, given, refuse_foreign, refuse_given

__all__ = ["command"]

TRANSLATING = Group("Runs of task translate", sort_key=5)


def command(
    run: Path,
    data: DataName | None = None,
    /,
    *,
    json: Json = False,
    device: DeviceFlag = "auto",
    settings: ReadSettings = None,
    beam: Annotated[int | None, Parameter(group=TRANSLATING)] = None,
    length_penalty: Annotated[float | None, Parameter(group=TRANSLATING)] = None,
) -> None:
    """Evaluate a run: accuracy, edit rates, BLEU or bits per character, with intervals and by length.

    unrolled evaluate runs/films-gru-1

    unrolled evaluate runs/films-gru-1 more.csv

    unrolled evaluate runs/letters-attention-1 --beam 5

    Parameters
    ----------
    run
        Folder of a run.
    data
        CSV, TSV, JSON lines or Parquet (with labels, or with sources and targets for task translate), an IDX file or a
        folder of images by class, CoNLL-U or two columns for task tag, plain text for task generate, - for standard
        input, a sample's name, or hub:NAME; default: the test split that the run was trained beside.
    json
        Print JSON.
    device
        Where to compute.
    beam
        How many beginnings are kept and continued. [default: 1]
    length_penalty
        With a beam: 0 ranks by probability, larger ones prefer what is longer. [default: 0.6]
    """
    from unrolled import api, tasks
    from unrolled.cli.progress import show_log

    with show_log():
        loaded = api.load(run, device=device)
        task, flags = loaded.config.task, {"beam": beam, "length_penalty": length_penalty}
        options = {name: value for name, value in flags.items() if value is not None}
        refuse_given(settings, tasks.find(loaded.config).unused, task)
        refuse_foreign(options, loaded.evaluate, task)
        result = loaded.evaluate(data, **given(settings), **options)
    if json:
        print_json(result.to_dict())
    else:
        print(result.text())
