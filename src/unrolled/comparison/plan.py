"""The plan of a comparison: data, models with their solved widths, updates, search and seeds. All that follows from it
is a function of the plan, except times. `planning` makes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field

from unrolled.errors import ConfigError
from unrolled.runs.own_cells import use_cell
from unrolled.runs.recorded import sum_of
from unrolled.runs.schema import RecordedConfig
from unrolled.saved import Count, Digest, Label, Open, Strict, valid
from unrolled.training import plan as training_plan

__all__ = ["MATCHES", "Cell", "Match", "Plan", "Planned", "Request", "digest", "read"]

Match = Literal["parameters", "flops", "seconds", "state"]
MATCHES: tuple[Match, ...] = ("parameters", "flops", "seconds", "state")


class Request(NamedTuple):
    """The arguments of a comparison; see `unrolled.compare`."""

    match: Match | None
    match_to: float | None
    budget: str | None
    trials: int
    seeds: int
    prune: bool


class Cell(Strict):
    """A cell of the user: its address, and the SHA-256 of its file."""

    address: Label
    sha256: Digest


class Planned(Strict):
    """A model of the comparison, or runs.

    Args:
        label: its name in the report.
        config: all settings; learning rate, dropout and seed are those of a single training.
        updates: number of updates of a training.
        parameters: number of parameters outside token tables and output heads.
        tables: number of parameters of these.
        flops: operations of one training update.
        state: bytes of the state after a sequence of median length.
        seconds: measured seconds of an update, of a comparison that is matched by them.
        matched: whether the matched quantity is within 2 % of the target; None: nothing is matched.
        note: why it is not matched; "" if it is.
        cell: a cell of the user.
        runs: folders of trained runs, which are compared as they are.
    """

    label: Label
    config: RecordedConfig
    updates: Count
    parameters: Count
    tables: Count
    flops: Count
    state: Count
    seconds: float | None = None
    matched: bool | None = None
    note: str = ""
    cell: Cell | None = None
    runs: list[str] = Field(default_factory=list)


class Plan(Strict):
    """The plan, as the study holds it."""

    library: Literal["unrolled"] = "unrolled"
    format_version: Literal[1] = 1
    version: str
    command: str
    base: training_plan.Plan
    match: Match | None
    match_to: float | None
    budget: str | None
    trials: Count
    seeds: Count
    prune: bool
    threads: Count
    length: Count
    source_length: Count
    models: list[Planned]

    @property
    def trained(self) -> list[Planned]:
        """The models that are trained, without runs."""
        return [each for each in self.models if not each.runs]

    def differences(self, other: Plan) -> list[str]:
        """Return the entries in which two plans differ, in words, except measured ones."""
        mine, theirs = self.model_dump(exclude=_MEASURED), other.model_dump(exclude=_MEASURED)
        said = [f"{key} {mine[key]!r}, not {theirs[key]!r}" for key in _SAID if mine[key] != theirs[key]]
        labels, others = [each.label for each in self.models], [each.label for each in other.models]
        if labels != others:
            said.append(f"models {', '.join(labels)}, not {', '.join(others)}")
        ours, new = self.base.config.flat(), other.base.config.flat()
        said += [f"{name} {ours[name]!r}, not {new[name]!r}" for name in ours if ours[name] != new[name]]
        if self.base.data.splits != other.base.data.splits:
            said.append("other data")
        elif mine != theirs and not said:
            said.append("settings of single models")
        return said


_SAID = ("match", "match_to", "budget", "trials", "seeds", "prune")
_MEASURED: Any = {"version": True, "command": True, "threads": True, "models": {"__all__": {"updates", "seconds"}}}


class _WithCell(Open):
    cell: Cell | None = None


class _Cells(Open):
    models: list[_WithCell]


def read(text: str, name: str, cells: Sequence[str]) -> Plan:
    """Return the plan of a text that a study holds.

    Args:
        text: JSON.
        name: name of the comparison, for messages.
        cells: the cells of the user's that are named; a plan's own are never executed unasked.

    Raises:
        CheckpointError: the text is no plan.
        ConfigError: a cell of the plan is not named, or its file has changed.
    """
    said = f"the plan of {name}"
    for cell in (each.cell for each in valid(_Cells, said, text.encode()).models if each.cell is not None):
        if cell.address not in cells:
            raise ConfigError(f"the comparison has a cell of yours: name it again with --models {cell.address}")
        if digest(cell.address) != cell.sha256:
            raise ConfigError(f"{cell.address.rpartition(':')[0]} is not the file that the comparison began with")
        use_cell(cell.address)
    return valid(Plan, said, text.encode())


def digest(address: str) -> str:
    """Return the SHA-256 of the file of a cell's address."""
    summed = sum_of(Path(address.rpartition(":")[0]))
    if summed is None:
        raise ConfigError(f"{address.rpartition(':')[0]} cannot be read")
    return str(summed["sha256"])
