"""Names of classes whose labels are numbers, such as those of IDX files and of many tables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from unrolled.config import DataConfig
from unrolled.data.reading.lines import open_lines
from unrolled.errors import ConfigError, DataError, excerpt

__all__ = ["check_class_names", "class_names", "read_class_names"]

NUMBER = re.compile(r"[+-]?\d{1,18}(\.\d{1,18})?")


def read_class_names(path: str | Path) -> list[str]:
    """Return the lines of a file, each the name of a class; empty lines at its end are left out.

    Raises:
        DataError: the file cannot be read, or is not UTF-8.
    """
    names: list[str] = []
    with open_lines(Path(path), str(path)) as lines:
        for name in lines.rows():
            if (fault := lines.fault_of(name)) and fault.error:
                raise fault.error
            names.append(name)
    while names and not names[-1].strip():
        names.pop()
    return names


def check_class_names(names: Sequence[str], file: str | None = None) -> list[str]:
    """Return the names of classes, after checking that they are different and not empty.

    Raises:
        DataError: names the first bad one, and its line in the file.
    """
    seen: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        if not name.strip():
            raise DataError("the name of a class is empty", file=file, line=number, fix="write a name in each line")
        if name in seen:
            problem = f'"{excerpt(name, 40)}" is the name of an earlier class, too (number {seen[name]})'
            raise DataError(problem, file=file, line=number, fix="give every class a name of its own")
        seen[name] = number
    return [*names]


def class_names(labels: Sequence[str], config: DataConfig) -> Mapping[str, str]:
    """Return the name of each label of a training split, in the order of `labels`.

    Without `config.class_names` a label is its own name.

    The k-th name is that of the k-th label in numeric order. Where some of the classes 0, 1, … do not occur, names for
    all of them are taken, too: then name k + 1 is that of label k.

    Raises:
        ConfigError: a label is not a number, or there are more or fewer names than labels.
    """
    names = config.class_names
    if names is None:
        return dict(zip(labels, labels, strict=True))
    if isinstance(names, str):
        raise ConfigError(f"class_names should be names here, not a file: got {excerpt(names)!r}")
    if other := next((label for label in labels if not NUMBER.fullmatch(label)), None):
        raise ConfigError(
            f'--class-names names labels that are numbers, and "{excerpt(other, 40)}" is a label of the data: remove it'
        )
    ordered = sorted(labels, key=Fraction)
    if len(names) == len(ordered):
        by_label = dict(zip(ordered, names, strict=True))
        return {label: by_label[label] for label in labels}
    if all(label.isdecimal() and int(label) < len(names) for label in ordered):
        return {label: names[int(label)] for label in labels}
    raise ConfigError(
        f"--class-names has {len(names):,} names, and the training split {len(ordered):,} labels, from "
        f"{ordered[0]} to {ordered[-1]}: give a name for each, in this order"
    )
