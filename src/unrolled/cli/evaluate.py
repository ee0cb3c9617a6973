"""`unrolled evaluate`: the quality of a trained network on held-out examples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from unrolled.cli.output import Json, print_json
from unrolled.cli.settings import (
    DataName,
    DeviceFlag,
    EvaluateOptions,
    Others,
    ReadSettings,
    passed_flags,
    refuse_unused,
)
from unrolled.errors import ConfigError

__all__ = ["command"]


def command(
    run: Path,
    data: DataName | None = None,
    /,
    *,
    test_split: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    json: Json = False,
    device: DeviceFlag = "auto",
    others: Others = None,
    settings: ReadSettings = None,
    options: EvaluateOptions = None,
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
        input, a sample's name, or hub:NAME; default: the run's own test split.
    test_split
        DATA are those of the training: evaluate on their test split. Needed where the run cannot show that its data
        are unchanged, and where they would be fetched.
    json
        Print JSON.
    device
        Device to compute on.
    others
        Folder of another run of the same task, with which the answers are averaged (an ensemble): the same labels, or
        the same tokeniser where text is written. May be repeated.
    """
    from unrolled import api, tasks
    from unrolled.cli.progress import show_log

    with show_log():
        loaded = api.ensemble([run, *(others or ())], device=device)
        refuse_unused(passed_flags(settings), tasks.find(loaded.config).unused, loaded.config.task)
        if test_split and data is None:
            raise ConfigError("--test-split needs the data of the training: name them")
        requested = passed_flags(options) | ({"test_split": True} if test_split else {})
        result = loaded.evaluate(data, **passed_flags(settings), **requested)
    if json:
        print_json(result.to_dict())
    else:
        print(result.text())
