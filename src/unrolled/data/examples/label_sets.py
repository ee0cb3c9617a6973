"""Examples for the task *classify* with `--multi-label`: texts with any number of labels each, also none.

The labels of a text are a list of JSON or Python, the same list written as text (["a", "b"], as pandas writes it), or a
text with a separator between the labels; or flags, see `flags`, in a column or a key of JSON for each label. An empty
value is no label. Spaces around a label, and repeated labels, are dropped. A row stores its labels, sorted, as a JSON
list.
"""

from __future__ import annotations

import ast
import json
import math
import numbers
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unrolled.config import DataConfig
from unrolled.data.examples.labelled import LABEL, Examples, label_fault, load_examples
from unrolled.data.examples.labels import label_form
from unrolled.data.reading.arrays import allocate
from unrolled.data.reading.faults import RAISED, Faults
from unrolled.data.reading.flags import flag_of
from unrolled.data.reading.objects import kind_of
from unrolled.data.reading.rows import BadRow, Row
from unrolled.errors import excerpt

__all__ = ["label_sets", "load_label_sets", "members", "multi_hot"]


def load_label_sets(
    data: object, config: DataConfig, *, labels: Sequence[str] | None = None, faults: Faults = RAISED
) -> Examples:
    """Read all texts of `data` with their labels; see `load_examples` for the arguments.

    Raises:
        DataError: as `load_examples`.
    """
    known = None if labels is None else dict.fromkeys(labels)
    separator = config.label_separator.replace("\\t", "\t")
    read = partial(_read, separator=separator, known=known, form=label_form(config))
    return load_examples(data, config, read_label=read, faults=faults)


def members(stored: str) -> tuple[str, ...]:
    """Return the labels of a row from the text that it stores."""
    return tuple(json.loads(stored))


def label_sets(examples: Examples) -> Iterator[tuple[str, ...]]:
    """Yield the labels of each text."""
    known: dict[str, tuple[str, ...]] = {}
    for stored in examples.labels():
        if stored not in known:
            known[stored] = members(stored)
        yield known[stored]


def multi_hot(examples: Examples, labels: Sequence[str]) -> NDArray[np.bool_]:
    """Return whether each of N texts has each of K labels, (N, K); labels of the texts are among them."""
    index = {label: k for k, label in enumerate(labels)}
    has = allocate((len(examples), len(labels)), np.bool_)
    has[:] = False
    for row, own in enumerate(label_sets(examples)):
        has[row, [index[label] for label in own]] = True
    return has


def _read(row: Row, *, separator: str, known: Collection[str] | None, form: Callable[[str], str]) -> str | BadRow:
    found = _flagged(row) if _has_flags(row) else _listed(row, row.values[LABEL], separator)
    if isinstance(found, BadRow):
        return found
    own: set[str] = set()
    for value in found:
        if isinstance(value, (bool, numbers.Integral)):
            value = json.dumps(value if isinstance(value, bool) else int(value))
        if not isinstance(value, str):
            problem = f"a label is text, a whole number, true or false; got {kind_of(value)}"
            return row.bad("label is not text", problem, LABEL)
        label = form(value.strip())
        if fault := label_fault(row, label, known):
            return fault
        own.add(label)
    return json.dumps(sorted(own), ensure_ascii=False)


def _has_flags(row: Row) -> bool:
    return len(row.values) > LABEL + 1 or isinstance(row.values[LABEL], Mapping)


def _flagged(row: Row) -> list[str] | BadRow:
    """Return the labels whose flags are set, in the columns of a row or the keys of its value."""
    several = len(row.values) > LABEL + 1
    names = row.location.names[LABEL:] if several else tuple(map(str, row.values[LABEL]))
    values = row.values[LABEL:] if several else tuple(row.values[LABEL].values())
    own = []
    for index, (name, value) in enumerate(zip(names, values, strict=True)):
        flag = flag_of(value)
        if flag is None:
            got = f'"{excerpt(value, 40)}"' if isinstance(value, str) else kind_of(value)
            problem = f'the flag of label "{excerpt(name, 40)}" should be 0 or 1, true or false, yes or no; got {got}'
            return row.bad("not a flag", problem, LABEL + index * several)
        own += [name] * flag
    return own


def _listed(row: Row, value: Any, separator: str) -> Iterable[Any] | BadRow:
    """Return the labels of a value one by one."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ()
    if not isinstance(value, str):
        several = isinstance(value, (list, tuple, Set, np.ndarray))
        return value if several else (value,)
    text = value.strip()
    if not (text.startswith("[") and text.endswith("]")):
        return [part for part in text.split(separator) if part.strip()]
    try:
        parsed = ast.literal_eval(text)  # reads lists as JSON and as Python writes them
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        written = f'write ["a", "b"], or "{excerpt(separator)}" between labels'
        problem = f'"{excerpt(text, 40)}" is no list of labels; {written}'
        return row.bad("not a list of labels", problem, LABEL)
    return parsed if isinstance(parsed, list) else (text,)
