"""Reading data for a finished run: as in training, but for the settings that are given anew."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from unrolled.config import DataConfig, from_flat
from unrolled.data.reading.counts import Read
from unrolled.errors import ConfigError, DataError
from unrolled.runs.run import Run, refuse_gone

__all__ = ["allowed_length", "log_read", "own_test", "reading"]


class Split(Read, Protocol):
    """A split of a data set."""

    @property
    def fingerprint(self) -> str:
        """A hash of all examples."""

    def __len__(self) -> int: ...


S = TypeVar("S", bound=Split)
log = logging.getLogger("unrolled")


def log_read(read: Read, name: str | None = None) -> None:
    """Log how many rows were read and used, and list those that were skipped; `name` is by default their source."""
    log.info("%s: %s", name or read.source, read.counts)
    for row in read.skipped:
        log.info("  skipped: %s", row)


def reading(run: Run, **settings: Any) -> DataConfig:
    """Return the settings with which a run's data are read: those of its training, changed by `settings`."""
    return from_flat({name: value for name, value in settings.items() if value is not None}, base=run.config).data


def own_test(run: Run, test: Callable[[str], S]) -> S:
    """Return the test split of a run's training data, read again by `test` and found unchanged.

    Raises:
        DataError: there was none, or the data are gone or have changed.
    """
    source, part = run.record["data"]["source"], run.record["data"]["splits"]["test"]
    if not part["rows"]:
        raise DataError("this run was trained without a test split", fix=run.GIVE_DATA)
    refuse_gone(source, run.config.data, fix=run.GIVE_DATA)
    found = test(source)
    if found.fingerprint != part["fingerprint"]:
        raise DataError(
            "the test split is not the one of the training: the data have changed since", file=source, fix=run.GIVE_DATA
        )
    return found


def allowed_length(max_length: int, limit: int | None) -> int:
    """Return how many tokens of an input are read: at most `max_length`, and at most what the model can.

    Raises:
        ConfigError: max_length is below 1.
    """
    if max_length < 1:
        raise ConfigError(f"max_length must be at least 1: got {max_length}")
    return max_length if limit is None else min(max_length, limit)
