"""What tasks share whose data are rows in three parts: labelled texts and images, sentences, pairs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from unrolled.config import DataConfig, from_flat
from unrolled.data.reading.counts import Read, accounts
from unrolled.errors import ConfigError, DataError
from unrolled.runs.run import Run, absolute, refuse_gone

__all__ = ["Part", "described", "log_read", "log_splits", "own_test", "reading", "within"]

log = logging.getLogger("unrolled")


class Part(Read, Protocol):
    """A part of a data set, as it was read."""

    @property
    def name(self) -> str:
        """For run folders."""

    @property
    def fingerprint(self) -> str:
        """Of all that is in it."""

    def __len__(self) -> int: ...


class Parts(Protocol):
    """A data set in three parts."""

    @property
    def how(self) -> str:
        """What the parts are and why, in a sentence."""

    @property
    def loaded(self) -> Sequence[Part]:
        """What was read, file by file, before the split."""

    def parts(self) -> Mapping[str, Part]:
        """By name."""


P = TypeVar("P", bound=Part)


def log_read(read: Read, name: str | None = None) -> None:
    """Log how many rows were read and used, and list those that were skipped; `name` is by default their source."""
    log.info("%s: %s", name or read.source, read.counts)
    for row in read.skipped:
        log.info("  skipped: %s", row)


def log_splits(splits: Parts) -> None:
    """Log what became of all rows, and what the parts are."""
    for name, read in accounts(splits.loaded, splits.parts()).items():
        log_read(read, name)
    log.info("%s: %s", splits.how, ", ".join(f"{name} {len(part):,}" for name, part in splits.parts().items()))


def described(data: object, splits: Parts) -> dict[str, Any]:
    """Return what run.json says of the data: where they came from, and what tells each part from any other."""
    train = splits.parts()["train"]
    return {
        "name": train.name,
        "source": absolute(data) if isinstance(data, str | Path) else train.source,
        "how": splits.how,
        "parts": {name: {"rows": len(part), "fingerprint": part.fingerprint} for name, part in splits.parts().items()},
        "read": [
            {"source": name, "counts": str(read.counts)}
            for name, read in accounts(splits.loaded, splits.parts()).items()
        ],
    }


def reading(run: Run, **settings: Any) -> DataConfig:
    """How a run's data are read: as in training, but for what is given."""
    return from_flat({name: value for name, value in settings.items() if value is not None}, base=run.config).data


def own_test(run: Run, test: Callable[[str], P]) -> P:
    """Return the test part of a run's training data, read again by `test` and found unchanged.

    Raises:
        DataError: there was none, or the data are gone or have changed.
    """
    source, part = run.record["data"]["source"], run.record["data"]["parts"]["test"]
    if not part["rows"]:
        raise DataError("this run was trained without a test part", fix=run.GIVE_DATA)
    refuse_gone(source, run.config.data, fix=run.GIVE_DATA)
    found = test(source)
    if found.fingerprint != part["fingerprint"]:
        raise DataError(
            "the test part is not the one of the training: the data have changed since", file=source, fix=run.GIVE_DATA
        )
    return found


def within(limit: int, models: int | None) -> int:
    """Return how many tokens of an input are read: at most `limit`, and at most what the model can.

    Raises:
        ConfigError: the limit is below 1.
    """
    if limit < 1:
        raise ConfigError(f"limit must be at least 1: got {limit}")
    return limit if models is None else min(limit, models)
