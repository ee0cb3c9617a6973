"""`unrolled evaluate`: the quality of a trained network on held-out examples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from unrolled.cli.checks import check_data, check_output, check_run, unused_by
from unrolled.cli.output import Json, print_json
from unrolled.cli.settings import (
    DataName,
    DeviceFlag,
    EvaluateOptions,
    Others,
    ReadSettings,
    SourceFile,
    TargetFile,
    ThreadsFlag,
    checked_threads,
    data_of,
    passed_flags,
    refuse_unused,
)
from unrolled.config import IMAGES, TASK, Choice, DataConfig
from unrolled.decoding.options import OPTIONS
from unrolled.errors import ConfigError

__all__ = ["command"]


def command(
    run: Path,
    data: DataName | None = None,
    /,
    *,
    source_file: SourceFile = None,
    target_file: TargetFile = None,
    test_split: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    json: Json = False,
    picture: Path | None = None,
    device: DeviceFlag = "auto",
    threads: ThreadsFlag = None,
    others: Others = None,
    settings: ReadSettings = None,
    options: EvaluateOptions = None,
) -> None:
    """Evaluate a run: accuracy, edit rates, BLEU or bits per character, with intervals and by length.

    unrolled evaluate runs/films-gru-1

    unrolled evaluate runs/films-gru-1 more.csv

    unrolled evaluate runs/films-gru-1 --picture reliability.svg

    unrolled evaluate runs/letters-attention-1 --beam 5

    unrolled evaluate runs/films-gru-1 --precision int8

    Parameters
    ----------
    run
        Folder of a run.
    data
        CSV, TSV, JSON lines or Parquet (with labels, or with sources and targets for task translate), an IDX file or a
        folder of images by class, CoNLL-U or two columns for task tag, plain text for task generate, - for standard
        input, the name of a sample or of a synthetic task, or hub:NAME; default: the run's own test split.
    source_file
        File with a source a line, for task translate, in place of DATA.
    target_file
        File with a target a line.
    test_split
        DATA are those of the training: evaluate on their test split. Needed where the run cannot show that its data
        are unchanged, and where they would be fetched.
    json
        Print JSON.
    picture
        SVG file for a reliability diagram: accuracy against the probability of the answers (tasks classify and tag).
    device
        Device to compute on.
    threads
        CPU threads; default: chosen by PyTorch.
    others
        Folder of another run of the same task, with which the answers are averaged (an ensemble): the same labels, or
        the same tokeniser where text is written. May be repeated.
    """
    check_output(picture, "--picture", ".svg")
    threads = checked_threads(threads)
    config, chosen = check_run(run), passed_flags(options)
    for other in others or ():
        check_run(other)
    named = data_of(data, source_file, target_file, config.task)
    if test_split and named is None:
        raise ConfigError("--test-split needs the data of the training: name them")
    if named is not None:
        check_data(named, config.model_copy(update={"data": DataConfig()}))
    OPTIONS["evaluate"][config.task].parse(chosen, task=config.task)
    refuse_unused(passed_flags(settings), unused_by(config), config.task)
    if picture is not None and Choice.of(config).task not in (TASK, IMAGES, "tag"):
        kind = f"{config.task} with several labels a text" if config.data.multi_label else config.task
        raise ConfigError(f"this run's task is {kind}, which has no picture: remove --picture")
    from unrolled import api, atomic, machine
    from unrolled.cli.progress import show_log

    with show_log(), machine.use_threads(threads):
        loaded = api.ensemble([run, *(others or ())], device=device)
        requested = passed_flags(settings) | chosen | ({"test_split": True} if test_split else {})
        precision = requested.pop("precision", None)
        if precision in (None, "float32"):
            result = shown = loaded.evaluate(named, precision=precision, **requested)
        else:
            shown = loaded.cost_of(precision, named, **requested)
            result = shown.result
    if json:
        print_json(shown.to_dict())
    else:
        print(shown.text())
    if picture is not None:
        atomic.write_file(picture, result.picture().encode())
