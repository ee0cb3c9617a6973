"""The log and the run.json record of the splits, shared by the tasks."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from unrolled.data.encoding.batches import Sequences
from unrolled.data.reading.counts import Read, accounts
from unrolled.data.reading.parallel import are_sides
from unrolled.data.report.checks import RUINOUS_UNKNOWN, unknown_issues
from unrolled.data.report.issues import Issue
from unrolled.runs.reading import log_read
from unrolled.runs.recorded import absolute

__all__ = ["FromCache", "Split", "data_record", "log_issues", "log_splits", "log_unknown"]

log = logging.getLogger("unrolled")


class Split(Read, Protocol):
    """One split of a data set, as the record of a training describes it."""

    @property
    def name(self) -> str:
        """The name of the data, for run folders."""

    @property
    def fingerprint(self) -> str:
        """A hash of all examples."""

    def __len__(self) -> int: ...


class Splits(Protocol):
    """A data set in three splits."""

    @property
    def how(self) -> str:
        """A sentence on how the splits were made."""

    @property
    def loaded(self) -> Sequence[Split]:
        """The examples of each file, before the split."""

    def named(self) -> Mapping[str, Split]:
        """Return the splits by name."""


def log_splits(splits: Splits) -> None:
    """Log how many rows were read and used, and the size of each split."""
    for name, read in accounts(splits.loaded, splits.named()).items():
        log_read(read, name)
    log.info("%s: %s", splits.how, ", ".join(f"{name} {len(split):,}" for name, split in splits.named().items()))


def log_unknown(**splits: Sequences) -> list[str]:
    """Log the splits whose tokens are mostly unknown, a line each, as warnings, and return the lines."""
    rates = {name: split.unknown_rate for name, split in splits.items()}
    return log_issues(unknown_issues(rates, most=RUINOUS_UNKNOWN))


def log_issues(issues: Iterable[Issue]) -> list[str]:
    """Log issues of the data, a line each, as warnings, and return the lines."""
    lines = []
    for issue in issues:
        lines.append(issue.line())
        log.warning("issue: %s", lines[-1])
    return lines


class FromCache:
    """Mixin of the tasks whose data are cached: the log of data from there.

    Attributes:
        splits: the splits.
        issues: the lines of the issues that reading has logged.
    """

    CACHED = True
    splits: Any
    issues: Sequence[str] = ()

    def log_read(self) -> None:
        """Log the sizes of the splits and the issues; see `Task.log_read`."""
        log_splits(self.splits)
        for line in self.issues:
            log.warning("issue: %s", line)


def data_record(data: object, splits: Splits) -> dict[str, Any]:
    """Return the entry of run.json for the data: the source, and the size and fingerprint of each split."""
    train = splits.named()["train"]
    source = [absolute(path) for path in data] if are_sides(data) else train.source
    return {
        "name": train.name,
        "source": absolute(data) if isinstance(data, str | Path) else source,
        "how": splits.how,
        "splits": {
            name: {"rows": len(split), "fingerprint": split.fingerprint} for name, split in splits.named().items()
        },
        "read": [
            {"source": name, "counts": str(read.counts)}
            for name, read in accounts(splits.loaded, splits.named()).items()
        ],
    }
