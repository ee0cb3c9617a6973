"""A comparison from its data to its report: the plan, the study, the trainings, the report. Fresh, resumed, or joined.

OUT/study.db                       the study, unless it is in a database
OUT/runs/                          a run for each model and seed
OUT/report.json, .md, .html        the report, written at the end
OUT/study.json                     where the study is
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from unrolled import atomic
from unrolled.comparison import budget as budgets
from unrolled.comparison import entries, plan, planning
from unrolled.comparison.plan import Plan, Request
from unrolled.comparison.reader import Reader
from unrolled.comparison.report.forms import Comparison
from unrolled.comparison.report.results import results
from unrolled.comparison.search import further, require
from unrolled.comparison.study import Study, hidden
from unrolled.comparison.worker import Progress, Worker
from unrolled.config import Config
from unrolled.data.reading.addresses import NOT_REREADABLE
from unrolled.errors import ConfigError
from unrolled.runs.claim import next_folder
from unrolled.runs.folder import describe, to_json
from unrolled.runs.recorded import refuse_unverified
from unrolled.saved import Label, Strict, valid
from unrolled.strings import counted

__all__ = ["compare", "join", "resume"]

STUDY, WHERE = "study.db", "study.json"
REPORTS = ("json", "md", "html")
MOST = 10_000  # trials, and seeds
log = logging.getLogger("unrolled")


class _Where(Strict):
    """The content of study.json: the address of the storage ("": study.db in the folder), and the comparison's name."""

    library: Literal["unrolled"] = "unrolled"
    format_version: Literal[1] = 1
    storage: str
    name: Label


def compare(
    data: object,
    models: Sequence[str],
    settings: Mapping[str, Any],
    *,
    request: Request,
    out: Path | None,
    storage: str | None,
    config: Config | None,
    command: str,
    progress: Progress,
) -> Comparison:
    """Compare models on `data`; see `unrolled.compare` for the arguments and errors."""
    require()
    _refuse_numbers(request, settings)
    if isinstance(data, str) and data in NOT_REREADABLE:
        raise ConfigError("a comparison reads its data once for each training: name a file or Python objects")
    data = list(data) if isinstance(data, Iterator) else data
    known = entries.parse(models)
    if data is None:
        data = _data_of_runs(known)
    before = None if out is None else _existing(out, [each.cell for each in known])
    reader = Reader(data)
    made = planning.make(reader, known, settings, request, config, command)
    if before is not None and out is not None:
        _refuse_existing(out, before, made)
    log.info(_work(made))
    if storage is not None:
        Study(storage, "")  # refuses one that cannot be reached, before a folder is made
    if out is None:
        out = next_folder(Path("runs"), made.base.data.name, "compare")
    with atomic.write_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    where = _Where(storage=storage or "", name=out.resolve().name)
    study = _open(out, where)
    if study.exists:
        raise ConfigError(f'{hidden(study.url)} has a comparison "{where.name}" already: choose another --out')
    atomic.write_file(out / WHERE, to_json(where.model_dump()))
    study.begin(made.model_dump_json())
    return _run(made, study, reader, out, progress)


def resume(out: Path, data: object, models: Sequence[str], *, progress: Progress) -> Comparison:
    """Continue the comparison of a folder, as its only process or with others.

    Args:
        out: folder of the comparison.
        data: the Python objects, if it had no files.
        models: the user's cells among its models, which are never read unasked.
        progress: called with the progress of the trainings.

    Raises:
        ConfigError: there is no comparison, or a cell is not named.
        DataError: its data are not local or have changed, and must be named.
        CheckpointError: its storage cannot be reached.
    """
    return _continued(_study_of(out), out, data, models, progress)


def _study_of(out: Path) -> Study:
    """Return the study of a folder."""
    if not (out / WHERE).is_file():
        raise ConfigError(f"{out} has no {WHERE}, so it is no comparison: name the folder of one")
    return _open(out, valid(_Where, out / WHERE, (out / WHERE).read_bytes()))


def join(address: str, out: Path | None, data: object, models: Sequence[str], *, progress: Progress) -> Comparison:
    """Work on a comparison that another process has begun, in a folder or a database.

    Args:
        address: the folder, or the address of the database, "#" and the comparison's name.
        out: folder for the runs that this process trains.
        data, models, progress: see `resume`.
    """
    if "://" not in address:
        folder = Path(address)
        return _continued(_study_of(folder), folder, data, models, progress, joined=True)
    url, _, name = address.partition("#")
    if not name:
        raise ConfigError("a comparison in a database is named after a #, as in postgresql://host/db#name")
    if out is None:
        raise ConfigError("a comparison in a database is joined with out, a folder for the runs that are trained here")
    where = _Where(storage=url, name=name)
    study = _open(out, where)
    study.plan()  # before a folder is made
    with atomic.write_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    if not (out / WHERE).exists():
        atomic.write_file(out / WHERE, to_json(where.model_dump()))
    return _continued(study, out, data, models, progress, joined=True)


def _open(out: Path, where: _Where) -> Study:
    return Study(where.storage or f"sqlite:///{(out / STUDY).resolve()}", where.name)


def _continued(
    study: Study, out: Path, data: object, models: Sequence[str], progress: Progress, *, joined: bool = False
) -> Comparison:
    """Work on a comparison that has a plan, after a check that the data are those of the plan.

    Args:
        study, out, data, models, progress: see `resume`.
        joined: whether other processes work on it, which the report then says.
    """
    made = plan.read(study.plan(), study.name, models)
    refuse_unverified(
        made.base.data.model_dump(),
        made.base.config.data,
        named=("data",) if data is not None else (),
        command=lambda role, source: f"unrolled compare {shlex.quote(source)} --resume {shlex.quote(str(out))}",
        give="give them again: `unrolled.compare(data, resume=folder)`",
    )
    reader = Reader(_named(made.base.data.source) if data is None else data)
    made.base.refuse_other_data(reader.task(made.base.config).record())
    return _run(made, study, reader, out, progress, joined=joined)


def _run(
    made: Plan, study: Study, reader: Reader, out: Path, progress: Progress, *, joined: bool = False
) -> Comparison:
    """Train all that is left, and write the report."""
    Worker(made, study, reader, out, progress, joined).work()
    comparison = Comparison(results(made, study, reader, out), out)
    for ending in REPORTS:
        atomic.write_file(out / f"report.{ending}", comparison.rendered(ending).encode())
    return comparison


def _refuse_numbers(request: Request, settings: Mapping[str, Any]) -> None:
    """Refuse numbers out of range, a budget that is none, and settings that are searched."""
    for name, number, least in (("trials", request.trials, 0), ("seeds", request.seeds, 1)):
        if not least <= number <= MOST:
            raise ConfigError(f"{name} should be from {least} to {MOST:,}: got {number}")
    if request.match_to is not None and request.match is None:
        raise ConfigError("match_to is an amount to match: use match, or remove it")
    if request.budget is not None:
        budgets.parse(request.budget)
    if request.trials and (searched := [name for name in entries.SEARCHED if name in settings]):
        said = f"{searched[0]} is" if len(searched) == 1 else f"{' and '.join(searched)} are"
        raise ConfigError(f"{said} searched: remove {'it' if len(searched) == 1 else 'them'}, or use 0 trials")


def _existing(out: Path, cells: Sequence[str]) -> Plan | None:
    """Return the plan of the comparison in a folder; None: the folder is free.

    Raises:
        ConfigError: there is something else.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    if not (out / WHERE).is_file():
        raise ConfigError(f"{out} exists already and is no comparison: choose another --out")
    where = valid(_Where, out / WHERE, (out / WHERE).read_bytes())
    return plan.read(_open(out, where).plan(), where.name, cells)


def _refuse_existing(out: Path, before: Plan, made: Plan) -> None:
    """Refuse a folder with a comparison: say how to go on with it, or how it differs."""
    if differences := before.differences(made):
        raise ConfigError(
            f"{out} has another comparison: {'; '.join(differences)}. Choose another --out, or continue that one with "
            f"`unrolled compare --resume {shlex.quote(str(out))}`"
        )
    raise ConfigError(
        f"{out} has this comparison: continue it with `unrolled compare --resume {shlex.quote(str(out))}`"
    )


def _named(source: str | Sequence[str]) -> str | tuple[str, ...]:
    """Return the source of a record as data are named: parallel files are a tuple."""
    return source if isinstance(source, str) else tuple(source)


def _data_of_runs(known: Sequence[entries.Entry]) -> str | tuple[str, ...]:
    """Return the data of trained runs, where there are only these."""
    if any(not entry.runs for entry in known):
        raise ConfigError("no data: give a file, as in `unrolled compare reviews.csv --models elman lstm gru`")
    _, config, record = describe(known[0].runs[0])
    refuse_unverified(
        record["data"],
        config.data,
        named=(),
        command=lambda role, source: f"unrolled compare {shlex.quote(source)} --models …",
        give="give them again: `unrolled.compare(data, models=[…])`",
    )
    return _named(record["data"]["source"])


def _work(made: Plan) -> str:
    """Return the number of trainings and their budget, in words."""
    models, trials, seeds = len(made.trained), made.trials, made.seeds
    if not models:
        return f"{len(made.models)} runs, nothing to train"
    budget = (
        budgets.spaced(made.budget) if made.budget else f"up to {max(each.updates for each in made.trained):,} updates"
    )
    more = f", and up to {2 * further(trials)} further trials of each model where the best rate is at an edge"
    trainings = f"({counted(trials, 'trial')} + {counted(seeds, 'seed')})"
    return f"{counted(models, 'model')} × {trainings} × {budget}{more if trials else ''}"
