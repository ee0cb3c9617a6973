"""`unrolled compare`: train several models with one budget and one search, and report which is better."""

from __future__ import annotations

import inspect
import logging
import shlex
import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from cyclopts import Parameter

from unrolled.cli.checks import check_data
from unrolled.cli.output import Json, print_json
from unrolled.cli.settings import (
    CompareSettings,
    ConfigFile,
    DataName,
    SourceFile,
    TargetFile,
    data_of,
    passed_flags,
    passed_settings,
    resolve,
)
from unrolled.config import from_toml
from unrolled.errors import ConfigError

if TYPE_CHECKING:
    from unrolled.cli.progress import Progress
    from unrolled.training import Event

__all__ = ["command"]

log = logging.getLogger("unrolled.cli")


def command(
    data: DataName | None = None,
    /,
    *,
    models: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    match: Literal["parameters", "flops", "seconds", "state", "none"] = "parameters",
    match_to: float | None = None,
    budget: str | None = None,
    trials: int = 8,
    seeds: int = 5,
    prune: bool = True,
    out: Path | None = None,
    storage: str | None = None,
    resume: Path | None = None,
    join: str | None = None,
    source_file: SourceFile = None,
    target_file: TargetFile = None,
    config: ConfigFile = None,
    json: Json = False,
    quiet: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    settings: CompareSettings = None,
) -> int:
    """Train several models with one budget and one search, and report which is better, with intervals.

    Each model gets the width at which all have as many parameters (or operations, seconds, bytes of state), the same
    trials over learning rate and dropout, and then several seeds. The report has the quality with intervals over seeds
    and examples, tests of the differences, costs, curves, and the examples on which the models disagree.

    unrolled compare reviews.csv --models elman lstm gru transformer --budget 5m

    unrolled compare sample:films --models feedforward gru transformer --budget 30s --trials 4 --seeds 3

    unrolled compare pairs.csv --task translate --models attention transformer --match flops

    unrolled compare reviews.csv --models gru "gru num_layers=2" my_cell.py:MyCell

    unrolled compare --models runs/reviews-gru-1 runs/reviews-lstm-1

    unrolled compare --resume runs/reviews-compare-1

    Parameters
    ----------
    data
        The data, as for "unrolled train". Not needed if all models are trained runs.
    models
        Names of models, each with settings of its own after it in quotes: "gru num_layers=2"; cells of your own as
        my_cell.py:MyCell; folders of trained runs, compared as they are.
    match
        The quantity that is the same for all models, within 2 %, by their hidden size: parameters outside token tables
        and output heads; flops, the operations of one training update; seconds of an update, measured; state, the bytes
        carried after a sequence of median length; or none.
    match_to
        Amount to match, such as 200000 parameters; default: that of the first model.
    budget
        Budget of one training: a time as 90s, 5m or 1.5h, or 800updates, 2Mtokens, 1e12operations; default: as long as
        "unrolled train".
    trials
        Trials of learning rate and dropout for each model; 0: the settings as given.
    seeds
        Trainings of each model with its best settings; with one there are no intervals.
    prune
        End a trial early that is worse than the median of the others at half of its updates.
    out
        Folder of the comparison; default: the first free runs/DATA-compare-N.
    storage
        Database for the study, such as postgresql://host/db, so that other machines can join; default: a file in --out.
    resume
        Continue the comparison in this folder.
    join
        Work on a comparison that another process has begun: its folder, or its database as URL#NAME.
    source_file
        File with a source a line, for task translate, in place of DATA; its lines are those of --target-file.
    target_file
        File with a target a line.
    config
        TOML file with settings (see "unrolled config"); flags override it.
    json
        Print the results as JSON.
    quiet
        Print no progress.
    """
    resolved = resolve(settings, config)
    named = data_of(data, source_file, target_file, resolved.task)
    if resume is not None or join is not None:
        if resume is not None and join is not None:
            raise ConfigError("--resume and --join are two ways to go on: use one of them")
        own: dict[str, Any] = {"match": match, "match_to": match_to, "budget": budget, "trials": trials, "seeds": seeds}
        own |= {"prune": prune, "storage": storage, "out": out if join is None else None}
        defaults = inspect.signature(command).parameters
        if passed_settings(settings, config) or any(value != defaults[name].default for name, value in own.items()):
            raise ConfigError("a comparison goes on with its settings: remove the others")
        if join is not None and "://" in join and out is None:
            raise ConfigError("--join with a database needs --out, the folder for the runs that are trained here")
    elif not models:
        raise ConfigError("no models: name them, as in `unrolled compare reviews.csv --models elman lstm gru`")
    if named is not None:
        check_data(named, resolved)
    from unrolled import api
    from unrolled.cli.progress import show_log

    options: dict[str, Any] = {"models": models or (), "out": out, "resume": resume, "join": join}
    if resume is None and join is None:
        options |= {
            "match": None if match == "none" else match,
            "match_to": match_to,
            "budget": budget,
            "trials": trials,
        }
        options |= {"seeds": seeds, "prune": prune, "storage": storage, "command": _typed()}
        options |= {"config": from_toml(config) if config else None, **passed_flags(settings)}
    with show_log(quiet), _Titled() as progress:
        comparison = api.compare(named, report=progress, **options)
    if json:
        print_json(comparison.to_dict())
    else:
        print(comparison.text())
        print(f"saved: {comparison.folder}\nopen:  {comparison.folder / 'report.html'}")
    return 0


def _typed() -> str:
    """Return the command as it was typed."""
    return shlex.join(["unrolled", *sys.argv[1:]])


class _Titled:
    """Display of the progress of one training after the other."""

    def __init__(self) -> None:
        self._title = ""
        self._shown: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(kind, error, trace)

    def __call__(self, title: str, event: Event) -> None:
        """Show an event of the training of this title."""
        from unrolled.cli.progress import Progress as Shown

        if title != self._title or self._shown is None:
            self._end()
            log.info("%s, %s updates", title, f"{event.updates:,}")
            self._title, self._shown = title, Shown(title)
        self._shown(event)

    def _end(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        if self._shown is not None:
            self._shown.__exit__(kind, error, trace)
