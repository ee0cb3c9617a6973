"""Flags of labels: 0 and 1, true and false, yes and no, in a column or a key for each label.

    text,toxic,obscene          {"text": "…", "cats": {"toxic": 1, "obscene": 0}}
    …,1,0

Columns are named together, as in `--label toxic,obscene --multi-label`; a key whose value has the flags, by its own
name.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping, Sequence

from unrolled.config import DataConfig

__all__ = ["are_flags", "flag_of", "label_columns", "likely_labels"]

FLAGS = {**dict.fromkeys(("1", "1.0", "true", "yes"), True), **dict.fromkeys(("0", "0.0", "false", "no"), False)}
BETWEEN = ","
"""Between the names of several columns."""
FEWEST = 3
"""Columns of flags that are taken for labels; a table of another kind has one or two."""


def flag_of(value: object) -> bool | None:
    """Return the flag that a value is, None for another value."""
    if isinstance(value, str):
        return FLAGS.get(value.strip().lower())
    if isinstance(value, numbers.Real) and value in (0, 1):
        return bool(value)
    return None


def are_flags(value: object) -> bool:
    """Return whether a value has a flag for each of its keys."""
    return isinstance(value, Mapping) and bool(value) and all(flag_of(flag) is not None for flag in value.values())


def label_columns(config: DataConfig, known: Callable[[], Sequence[str]]) -> tuple[str, ...]:
    """Return the columns of the labels: one, or with `multi_label` several with a comma between their names.

    Args:
        config: settings, which name them.
        known: -> all columns; one with the whole name takes precedence.
    """
    if not config.multi_label or BETWEEN not in config.label or config.label in known():
        return (config.label,)
    return tuple(name.strip() for name in config.label.split(BETWEEN) if name.strip())


def likely_labels(columns: Mapping[str, Sequence[object]]) -> str | None:
    """Return the value of `--label` for a table that seems to have flags of labels, with `--multi-label`.

    Args:
        columns: the first values of each column.
    """
    if whole := next((name for name, values in columns.items() if values and all(map(are_flags, values))), None):
        return whole
    flags = [name for name, values in columns.items() if values and all(flag_of(value) is not None for value in values)]
    named = len(flags) >= FEWEST and not any(BETWEEN in name for name in flags)
    return BETWEEN.join(flags) if named else None
