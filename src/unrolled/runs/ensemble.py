"""An ensemble of runs: a run whose probabilities are the mean of those of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from unrolled.errors import ConfigError
from unrolled.models.ensemble import Ensemble
from unrolled.runs.run import Run

__all__ = ["ensemble"]


def ensemble(runs: Sequence[Run]) -> Run:
    """Return a run that answers with the mean of the answers of `runs`: probabilities, or numbers of task regress.

    Settings, labels and record are those of the first. Runs may differ in model and tokeniser, except where text is
    written (tasks translate and generate): each token is chosen by all of them.

    Raises:
        ConfigError: no runs, or runs of different tasks, labels or tokenisers.
    """
    members = tuple(member for run in runs for member in run.members or (run,))
    if not members:
        raise ConfigError("an ensemble needs runs: got none")
    first, *others = members
    if not others:
        return first
    for number, other in enumerate(others, start=2):
        _refuse_different(first, other, f"run {number}" if other.path is None else str(other.path))
    model = first.model if first.labels else Ensemble([run.model for run in members])
    return replace(first, model=model, members=members, path=None, test=None, metrics=())


def _refuse_different(first: Run, other: Run, name: str) -> None:
    """Refuse a run that cannot answer together with the first one."""
    if type(other) is not type(first):
        raise ConfigError(
            f"the runs of an ensemble have one task and kind of data: {name} is of {_kind(other)}, the first of "
            f"{_kind(first)}"
        )
    if different := sorted({*first.labels} ^ {*other.labels}):
        has = "has" if different[0] in other.labels else "does not have"
        raise ConfigError(f'the runs of an ensemble have the same labels: {name} {has} "{different[0]}"')
    if not first.labels and first.preprocessor.to_json() != other.preprocessor.to_json():
        raise ConfigError(
            f"the runs of an ensemble that writes text have the same tokenizer: that of {name} differs from that of "
            "the first; train both on the same data with the same tokenizer settings, for example with other values of "
            "--seed"
        )


def _kind(run: Run) -> str:
    data = run.config.data
    return f"task {run.config.task}{' with images' if data.by else ' with multi_label' if data.multi_label else ''}"
