"""Cross-validation: a training for each fold of the data, as a run `fold-k` of a folder, and a summary.

folds.json     settings and data, written before the first fold, so that all can be resumed
fold-k/        the run that was tested on fold k
summary.json   the figures of all folds, written at the end
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from unrolled import atomic, tasks
from unrolled.config import Config, from_flat, refuse_unused
from unrolled.data.reading.addresses import NOT_REREADABLE, PYTHON
from unrolled.errors import ConfigError, Interrupted, UnrolledError
from unrolled.evaluation.folds import CrossValidation, cross_validation
from unrolled.runs.claim import refuse_existing
from unrolled.runs.folder import is_run, of_training, to_json
from unrolled.runs.load import load
from unrolled.runs.recorded import absolute, refuse_unverified, sums_of
from unrolled.runs.run import Run
from unrolled.runs.schema import RecordedConfig, SourceSum
from unrolled.saved import Strict, valid
from unrolled.tasks import session
from unrolled.training.plan import with_absolute_files
from unrolled.training.progress import Event

__all__ = ["PLAN", "SUMMARY", "cross_validate", "resume"]

PLAN, SUMMARY = "folds.json", "summary.json"
FOLDS = 5
"""Number of folds, where none is given."""
log = logging.getLogger("unrolled")
Report = Callable[[Event], None]


class _Plan(Strict):
    """The content of folds.json."""

    library: Literal["unrolled"] = "unrolled"
    format_version: Literal[1] = 1
    config: RecordedConfig
    source: str
    sums: list[SourceSum]


def cross_validate(
    data: object,
    settings: Mapping[str, Any],
    *,
    out: Path | None,
    config: Config | None,
    report: Report,
) -> CrossValidation:
    """Train and test on each fold; see `unrolled.cross_validate` for the arguments and errors."""
    if "fold" in settings:
        raise ConfigError("a cross-validation trains for every fold: remove fold")
    if data is None or (isinstance(data, str) and data in NOT_REREADABLE):
        raise ConfigError("a cross-validation reads its data once for each fold: name a file or Python objects")
    data = list(data) if isinstance(data, Iterator) else data  # it is read once for each fold
    inferred = tasks.infer_settings(data, settings, config)
    resolved = from_flat({"folds": (config and config.data.folds) or FOLDS, **inferred}, base=config)
    refuse_unused(resolved)
    if out is None:
        return _folds(data, resolved, out, report)
    _begin(data, resolved, out)
    try:
        return _folds(data, resolved, out, report)
    except UnrolledError:
        if [path.name for path in out.iterdir()] == [PLAN]:  # nothing was trained
            (out / PLAN).unlink()
            out.rmdir()
        raise


def _begin(data: object, config: Config, out: Path) -> None:
    """Make the folder of a cross-validation, with its plan."""
    refuse_existing(out, overwrite=False)
    source = absolute(data) if isinstance(data, str | Path) else PYTHON
    sums = [SourceSum.model_validate(each) for each in sums_of(data, config.data)]
    plan = _Plan(config=with_absolute_files(config), source=source, sums=sums)
    with atomic.write_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    atomic.write_file(out / PLAN, to_json(plan.model_dump()))


def resume(out: Path, data: object, *, report: Report) -> CrossValidation:
    """Continue a cross-validation: finished folds are kept.

    Args:
        out: folder of the cross-validation.
        data: the Python objects of the training, if it had no files.
        report: called with the progress of the trainings.

    Raises:
        ConfigError: there is no cross-validation.
        CheckpointError: a file of it is damaged.
        DataError: its data are not local or have changed, and must be named.
    """
    if not (out / PLAN).is_file():
        raise ConfigError(f"{out} has no {PLAN}, so it is no cross-validation: name the folder of one")
    plan = valid(_Plan, out / PLAN, (out / PLAN).read_bytes())
    folder = shlex.quote(str(out))
    refuse_unverified(
        {"source": plan.source, "sums": [each.model_dump() for each in plan.sums]},
        plan.config.data,
        named=("data",) if data is not None else (),
        command=lambda role, source: f"unrolled train {shlex.quote(source)} --resume {folder}",
        give="give them again: `unrolled.cross_validate(data, out=folder, resume=True)`",
    )
    return _folds(plan.source if data is None else data, plan.config, out, report)


def _folds(data: object, config: Config, out: Path | None, report: Report) -> CrossValidation:
    """Train for each fold that is not finished, and return the figures of all."""
    results, folds = [], config.data.folds or FOLDS
    for fold in range(1, folds + 1):
        folder = None if out is None else out / f"fold-{fold}"
        log.info("fold %s of %s", fold, folds)
        try:
            run = _finished(folder) or _trained(data, fold, config, folder, report)
        except Interrupted as interrupted:
            message = f"fold {fold} of {folds} was interrupted, and all is saved: resume with `unrolled train --resume"
            raise Interrupted(
                f"{message} {shlex.quote(str(out))}`", signal=interrupted.signal, folder=interrupted.folder
            ) from None
        if signal := run.record["training"].get("signal"):
            raise KeyboardInterrupt(signal)  # in memory, where nothing is saved
        results.append(run.record["result"])
    figures = cross_validation(results)
    if out is not None:
        atomic.write_file(out / SUMMARY, to_json(figures.to_dict()))
    return figures


def _finished(folder: Path | None) -> Run | None:
    """Return the run of a fold that is trained, None if there is none."""
    return load(folder, device="cpu") if folder is not None and is_run(folder) else None


def _trained(data: object, fold: int, config: Config, folder: Path | None, report: Report) -> Run:
    """Train for a fold, from its last checkpoint if there is one."""
    if folder is not None and (of_training(folder) / "plan").exists():
        return session.resume(
            folder, data if not isinstance(data, str | Path) else None, {}, finish=False, report=report
        )
    return session.train(
        data, {"fold": fold}, out=folder, runs=None, overwrite=False, start=None, config=config, report=report
    )
