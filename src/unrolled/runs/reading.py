"""Reading of data for a finished run: as in training, except for settings that are changed."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from unrolled.config import DataConfig, from_flat
from unrolled.data.examples.labelled import unknown_label
from unrolled.data.reading.counts import LISTED, Read
from unrolled.decoding.options import Options
from unrolled.errors import ConfigError, DataError
from unrolled.runs.recorded import absolute, refuse_unverified
from unrolled.runs.run import Run

__all__ = [
    "allowed_length",
    "class_indices",
    "known_labels",
    "log_read",
    "own_test",
    "read_held_out",
    "reading",
    "separate",
    "warn_of_training_data",
]


class Split(Protocol):
    """A split of a data set."""

    @property
    def fingerprint(self) -> str:
        """A hash of all examples."""


S = TypeVar("S", bound=Split)
log = logging.getLogger("unrolled")


def log_read(read: Read, name: str | None = None) -> None:
    """Log the numbers of rows read and used, and the first skipped ones.

    Args:
        name: name of the data, by default their source.
    """
    log.info("%s: %s", name or read.source, read.counts)
    for row in read.skipped[:LISTED]:
        log.info("  skipped: %s", row)
    bad = sum(read.counts.skipped[reason] for reason in {row.reason for row in read.skipped})
    if bad > LISTED:
        log.info("  skipped: and %s more, which `unrolled data` lists by reason", f"{bad - LISTED:,}")


def reading(run: Run, **settings: Any) -> DataConfig:
    """Return the settings with which a run's data are read: those of its training, overridden by `settings`."""
    return from_flat({name: value for name, value in settings.items() if value is not None}, base=run.config).data


def own_test(run: Run, test: Callable[[Any], S], data: object = None) -> S:
    """Return the test split of a run's training data, after checking that it is unchanged.

    Args:
        run: the run, with the record of its training data.
        test: reads the test split of a data source.
        data: the training data, if the user has named them; None: those of the record, if they can be verified.

    Raises:
        DataError: there was no test split, or the data are missing, have changed or cannot be verified; or the runs of
            an ensemble have different test splits.
    """
    recorded = run.record["data"]["splits"]["test"]
    if any(other.record["data"]["splits"]["test"] != recorded for other in run.members):
        raise DataError(
            "the runs of the ensemble have different test splits, so that one may have learned from the other's",
            fix="give data that none of them was trained on",
        )
    if not recorded.get("rows", recorded.get("characters")):
        origin = "imported, without data" if run.record.get("imported") else "trained without a test split"
        raise DataError(f"this run was {origin}", fix=run.GIVE_DATA)
    _refuse_unverified(run, named=() if data is None else ("data",))
    source = run.record["data"]["source"] if data is None else data
    split = test(source)
    if split.fingerprint != recorded["fingerprint"]:
        raise DataError(
            "the test split differs from that of the training: the data have changed since",
            file=str(source) if isinstance(source, str | Path) else None,
            fix=run.GIVE_DATA,
        )
    return split


def separate(run: Run, options: Mapping[str, Any], *names: str) -> tuple[dict[str, Any], Options]:
    """Return the settings with these names among the arguments of an evaluation, and its options.

    Raises:
        ConfigError: an option is unknown, out of range or without effect.
    """
    rest = {name: value for name, value in options.items() if name not in names}
    chosen = run.EVALUATE_OPTIONS.parse(rest, task=run.config.task, settings=DataConfig.model_fields)
    return {name: options.get(name) for name in names}, chosen


def read_held_out(
    run: Run,
    data: object,
    test_split: bool,
    settings: Mapping[str, Any],
    *,
    load: Callable[[Any, DataConfig], S],
    load_test: Callable[[Any], S],
) -> S:
    """Read the data of an evaluation: `data` with these settings, or the run's own test split as in training.

    Args:
        run: the run.
        data: the data, as the user named them; None: the run's own test split.
        test_split: whether `data` are those of the training, of which the test split is used.
        settings: settings that the user may override, by name; None: as in training.
        load: reads data with settings, and logs the result.
        load_test: reads the test split of a data source.

    Raises:
        DataError: as `own_test`, or the data cannot be read.
        ConfigError: settings differ from those of training without other data.
    """
    config = reading(run, **settings)
    if data is not None and not test_split:
        warn_of_training_data(run, data)
        return load(data, config)
    if config != run.config.data:
        *names, last = settings
        listed = f"{', '.join(names)} and {last}" if names else last
        raise ConfigError(f"the run's own test split is read as in training: leave {listed} out")
    return own_test(run, load_test, data)


def warn_of_training_data(run: Run, data: object) -> None:
    """Log a warning if data, by their paths, are those of the training of the run or of a member of an ensemble."""
    paths = data if isinstance(data, tuple) else (data,)
    if not all(isinstance(path, str | Path) for path in paths):
        return
    named = [absolute(path) for path in paths] if isinstance(data, tuple) else absolute(paths[0])
    if any(member.record.get("data", {}).get("source") == named for member in run.members or (run,)):
        log.warning(
            "these are the data of the training, most of which the model has learned: for examples that it has not "
            "seen leave them out, or add --test-split (in Python test_split=True)"
        )


def _refuse_unverified(run: Run, named: Collection[str]) -> None:
    """Refuse the recorded data of a run, unless they are those of the record; see `recorded`."""
    folder = "RUN" if run.path is None else shlex.quote(str(run.path))
    commands = {"data": f"{folder} {{}} --test-split", "valid": f"{folder} FILE", "test": f"{folder} {{}}"}
    refuse_unverified(
        run.record["data"],
        run.config.data,
        named=named,
        command=lambda role, source: "unrolled evaluate " + commands[role].format(shlex.quote(source)),
        give=run.GIVE_DATA,
    )


def known_labels(run: Run) -> tuple[str, ...]:
    """Return the labels that data may have: those of the run and, where these are names, then the numbers they name."""
    return (*run.labels, *run.record["data"].get("labels", ()))


def class_indices(run: Run, labels: Iterable[str]) -> NDArray[np.int64]:
    """Return the index of each label among those of the run.

    Raises:
        DataError: the run does not have the label.
    """
    index = {label: k % len(run.labels) for k, label in enumerate(known_labels(run))}
    labels = list(labels)
    if unknown := next((label for label in labels if label not in index), None):
        raise DataError(unknown_label(unknown, run.labels), fix=run.GIVE_DATA)
    return np.fromiter((index[label] for label in labels), np.int64, len(labels))


def allowed_length(max_length: int, model_length: int | None) -> int:
    """Return the maximum number of tokens to read: the smaller of `max_length` and the model's own, if it has one.

    Raises:
        ConfigError: max_length is below 1.
    """
    if max_length < 1:
        raise ConfigError(f"max_length must be at least 1: got {max_length}")
    return max_length if model_length is None else min(max_length, model_length)
