"""Training, validation and test split of labelled texts, and the labels.

A sample has its fixed splits; a split may be a file of its own; the rest is split off the main file, by text (see
`unrolled.data.assign`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from unrolled.config import DataConfig
from unrolled.data.assign import read_splits, refuse_empty
from unrolled.data.examples.labelled import UNKNOWN_LABEL, Examples, load_examples, unknown_label
from unrolled.data.reading.counts import LISTED, Skipped
from unrolled.data.reading.rows import SKIP
from unrolled.data.reading.sources import open_source
from unrolled.errors import DataError, excerpt

__all__ = ["Splits", "load_splits"]


@dataclass(frozen=True)
class Splits:
    """The three parts of a data set."""

    train: Examples
    valid: Examples
    test: Examples  # may be empty, if no share was asked for
    labels: tuple[str, ...]  # sorted, of the training split only: label k is class k
    how: str  # one sentence: what the parts are and why
    loaded: tuple[Examples, ...]  # what was read, file by file: counts and bad rows before the split

    def named(self) -> dict[str, Examples]:
        """Return the parts by name."""
        return {"train": self.train, "valid": self.valid, "test": self.test}


def load_splits(data: object, config: DataConfig) -> Splits:
    """Read `data` and the files that `config.valid` and `config.test` name, and split off what they do not give.

    Raises:
        DataError: as `load_examples`; or a part that is needed has no rows, the training split has one class only, or
            a label of the other splits never occurs in training.
    """

    def load(given: object, train: Examples | None) -> Examples:
        return load_examples(given, config, labels=None if train is None else sorted(set(train.labels())))

    data_source = open_source(data, "classify")
    given = {"train": data, **data_source.parts}
    parts, loaded, how = read_splits(config, given, data_source.source, load, Examples.texts, by="text")
    labels = _labels(parts["train"], config)
    for name in ("valid", "test"):
        parts[name] = _without_unknown(parts[name], name, labels, config)
    refuse_empty(parts, "rows")
    return Splits(parts["train"], parts["valid"], parts["test"], labels, how, loaded)


def _labels(train: Examples, config: DataConfig) -> tuple[str, ...]:
    counts = Counter(train.labels())
    if len(counts) < 2:
        only = excerpt(next(iter(counts)), 40)
        raise DataError(
            f'the training split has one class only: "{only}" ({len(train):,} rows); a classifier needs two',
            file=train.source,
            fix=f'check that "{config.label}" is the column with the label, and that the file holds all classes',
        )
    return tuple(sorted(counts))


def _without_unknown(part: Examples, name: str, labels: Sequence[str], config: DataConfig) -> Examples:
    """Leave out the rows whose label never occurs in training, or stop at the first, as for any bad row."""
    known = set(labels)
    bad = [i for i, label in enumerate(part.labels()) if label not in known]
    if not bad:
        return part
    if config.on_bad_row == "stop":
        first = part.items[bad[0]]
        problem = f"{unknown_label(str(first.label), labels)}, and this row fell into the {name} split"
        raise part.error(first, problem, f"give more rows with this label, try another --split-seed, {SKIP}")
    shown = part.items.select(bad[:LISTED])
    listed = [Skipped(item.line, UNKNOWN_LABEL, excerpt(item.text), part.unit) for item in shown]
    items = part.items.select(i for i, label in enumerate(part.labels()) if label in known)
    counts = part.counts.without({UNKNOWN_LABEL: len(bad)})
    return replace(part, items=items, counts=counts, skipped=[*part.skipped, *listed])
