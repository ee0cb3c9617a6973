"""`unrolled train`: train a model on a file, evaluate it and save it as a run."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from unrolled import launch
from unrolled.cli.checks import check_data, check_run, check_settings
from unrolled.cli.output import Json, decode_command, print_json
from unrolled.cli.settings import (
    ConfigFile,
    DataName,
    Settings,
    SourceFile,
    TargetFile,
    data_of,
    passed_flags,
    passed_settings,
    resolve,
)
from unrolled.config import Config, from_toml
from unrolled.errors import ConfigError

__all__ = ["command"]

log = logging.getLogger("unrolled.cli")


def command(
    data: DataName | None = None,
    /,
    *,
    out: Path | None = None,
    overwrite: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    source_file: SourceFile = None,
    target_file: TargetFile = None,
    start: Annotated[Path | None, Parameter(name="--from")] = None,
    resume: Path | None = None,
    finish: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    config: ConfigFile = None,
    json: Json = False,
    quiet: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    settings: Settings = None,
) -> int:
    """Train a model on your data, evaluate it on the test split, and save it in a run folder.

    unrolled train sample:films

    unrolled train reviews.csv --model lstm --text review --label stars --out runs/reviews

    unrolled train sample:fashion --model lstm --by row

    unrolled train sample:shakespeare --task generate

    unrolled train treebank.conllu --task tag --model lstm

    unrolled train pairs.csv --task translate --model attention --source english --target french

    unrolled train --task translate --source-file train.de --target-file train.en --valid valid.de

    unrolled train reviews.csv --folds 5 --out runs/folds

    unrolled train --resume runs/reviews

    Parameters
    ----------
    data
        Texts with labels, or pairs for task translate: .csv, .tsv, .txt, .jsonl, .ndjson, .json or .parquet; lines of
        fastText; a folder of texts or images by class; images as an IDX file. For task tag .conllu, or a word and its
        tag a line: .conll, .bio, .iob, .iob2, .bioes, .bilou, .bmes, .tsv or .txt. For task generate a .txt file or a
        folder of them. All but Parquet also .gz, .xz or .bz2. Or - for standard input; a sample's name: sample:films,
        sample:products, sample:fashion, sample:tags, sample:letters, sample:verses, sample:shakespeare; a synthetic
        task with its parameters, "synthetic:recall?length=40"; or hub:NAME for a data set of the Hugging Face Hub.
    out
        Folder of the run; default: the first free runs/DATA-MODEL-N.
    overwrite
        Replace the run in --out, once the new one is complete.
    source_file
        File with a source a line, for task translate, in place of DATA; its lines are those of --target-file. The
        targets of --valid and --test are found by their names, which differ as these two do: train.de and train.en,
        valid.de and valid.en.
    target_file
        File with a target a line.
    start
        Begin with the weights, the tokeniser and the settings of this run; flags override its settings.
    resume
        Resume the interrupted training of this run, with the settings and data it began with.
    finish
        With --resume: end after one more update, and save the best model so far.
    config
        TOML file with settings (see "unrolled config"); flags override it.
    json
        Print the result as JSON.
    quiet
        Print no progress.
    """
    resolved = resolve(settings, config)
    named = data_of(data, source_file, target_file, resolved.task if resume is None else "translate")
    if resume is None:
        if named is None:
            raise ConfigError("no data: give a file, as in `unrolled train reviews.csv`, or --resume RUN")
        if finish:
            raise ConfigError("--finish ends an interrupted training: use it with --resume RUN")
    elif out is not None or overwrite or start is not None:
        raise ConfigError(
            "--resume continues in its own folder, with its own weights: remove --out, --overwrite and --from"
        )
    if resume is not None and (resume / "folds.json").is_file():
        if finish or passed_settings(settings, config):
            raise ConfigError("the folds of a cross-validation go on with their settings: remove the others")
        return _cross_validate(named, {"out": resume, "resume": True}, json=json, quiet=quiet)
    _check(named, out, overwrite, start, resume, resolved, passed_flags(settings))
    if resume is None and resolved.data.folds is not None and resolved.data.fold is None:
        if out is None or overwrite or start is not None:
            raise ConfigError("--folds needs a new folder, as in --out runs/folds, and no --overwrite or --from")
        options = {"out": out, "config": from_toml(config) if config else None, **passed_flags(settings)}
        return _cross_validate(named, options, json=json, quiet=quiet)
    from unrolled import api
    from unrolled.cli.progress import Progress, show_log
    from unrolled.kernels import native
    from unrolled.runs.card import kept_model
    from unrolled.training.advice import advice, baseline_of

    first = launch.rank() == 0  # of the processes of torchrun, only this one prints
    with show_log(quiet, silent=not first), Progress() as progress:
        if not native.compiled():
            log.info(native.NO_KERNELS)
        where: dict[str, Any] = {"out": out, "runs": "runs", "overwrite": overwrite, "report": progress}
        if resume is not None:
            run = api.resume(resume, named, finish=finish, report=progress, **passed_settings(settings, config))
        elif start is not None:
            run = api.train(named, start=start, **where, **passed_settings(settings, config))
        else:
            run = api.train(named, config=from_toml(config) if config else None, **where, **passed_flags(settings))
    training = run.record["training"]
    if not first:
        return 0
    if json:
        print_json({"run": str(run.path), **run.record})
    else:
        print(run.test.text() if run.test else "No evaluation: the data have no test split.")
        if baseline := baseline_of(run):
            print(f"\n{baseline.text()}")
        stopped = training["stopped"][:1].upper() + training["stopped"][1:]
        print(f"\n{stopped}. Kept: {kept_model(training)} of {training['updates']:,}.")
        for sentence in advice(run):
            print(sentence)
        print(f"saved: {run.path}\ntry:   {decode_command(run.path, run.EXAMPLE_INPUT)}")
    return 0


def _cross_validate(data: object, options: dict[str, Any], *, json: bool, quiet: bool) -> int:
    """Train for each fold, and print the figures of all."""
    from unrolled import api
    from unrolled.cli.progress import Progress, show_log

    with show_log(quiet), Progress() as progress:
        figures = api.cross_validate(data, report=progress, **options)
    if json:
        print_json({"folder": str(options["out"]), **figures.to_dict()})
    else:
        print(figures.text())
        print(f"saved: {options['out']}")
    return 0


def _check(
    data: object,
    out: Path | None,
    overwrite: bool,
    start: Path | None,
    resume: Path | None,
    settings: Config,
    flags: Mapping[str, Any],
) -> None:
    """Refuse wrong settings and paths, before torch is imported.

    Args:
        data, out, overwrite, start, resume: see `command`.
        settings: all settings.
        flags: flags that were given.

    Raises:
        ConfigError: a setting without a use, or a folder in the way.
        DataError: no such file or sample.
        CheckpointError: no such run.
    """
    if out is not None or resume is not None:
        from unrolled.runs.claim import refuse_existing, refuse_nothing

        if out is not None:
            refuse_existing(out, overwrite=overwrite)
        if resume is not None:
            refuse_nothing(resume)
    if data is not None:
        check_data(data, settings)
    if start is not None:
        check_run(start)
    elif resume is None:
        check_settings(data if isinstance(data, str) else None, flags, settings)
