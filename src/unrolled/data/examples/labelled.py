"""Examples for the task *classify*: texts with their labels, from a file, a sample or Python objects.

Nothing is dropped, cut or re-typed in silence: of every row read it is known whether it was used or why not, and
labels are text ("NA" is a label). A row is bad if its text is missing, empty or not text, or if its label is missing,
empty or unknown; of JSON and Python values, integers and booleans may be labels and become their JSON text.
"""

from __future__ import annotations

import hashlib
import json
import numbers
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path

from unrolled.config import DataConfig
from unrolled.data.examples.columns import Example, Items, View
from unrolled.data.reading.counts import Counts, Skipped, sift
from unrolled.data.reading.objects import PYTHON, kind_of
from unrolled.data.reading.progress import watched
from unrolled.data.reading.rows import BadRow, Row
from unrolled.data.reading.sources import DataSource, open_source
from unrolled.errors import DataError, excerpt
from unrolled.strings import NOT_UNICODE, has_surrogate

__all__ = ["Counts", "Example", "Examples", "Skipped", "load_examples", "read_texts", "text_fault"]

UNKNOWN_LABEL = "unknown label"


@dataclass(frozen=True)
class Examples:
    """Texts with labels, and what is known about where they came from."""

    name: str  # for run folders: the file's stem, the sample's name, or "data"
    source: str  # the path as given, an address like "sample:films", or "python objects"
    items: Items
    counts: Counts
    skipped: Sequence[Skipped] = ()  # the first 20 that were bad
    unit: str = "line"  # see `Location.unit`

    def __len__(self) -> int:
        return len(self.items)

    def texts(self) -> View[str]:
        """Return the texts, in order."""
        return self.items.texts

    def labels(self) -> View[str]:
        """Return the labels, in order; empty where they were read without."""
        return self.items.labels

    def select(self, rows: Iterable[int]) -> Examples:
        """Return the examples with these numbers, in this order, all of them used."""
        items = self.items.select(rows)
        return replace(self, items=items, counts=Counts(len(items), len(items), {}), skipped=())

    def error(self, item: Example, problem: str, fix: str) -> DataError:
        """Return an error about one of the items that names where it came from."""
        file = None if self.source == PYTHON else self.source
        return DataError(problem, file=file, line=item.line, unit=self.unit, row=item.text, fix=fix)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the (text, label) pairs in order, each length first, so that no two lists are confused."""
        digest = hashlib.sha256()
        for item in self.items:
            for value in (item.text, item.label):
                data = b"" if value is None else value.encode()
                digest.update(b"%d:" % (-1 if value is None else len(data)) + data)
        return digest.hexdigest()


def load_examples(
    data: object, config: DataConfig, *, labels: Sequence[str] | None = None, need_labels: bool = True
) -> Examples:
    """Read all examples of `data`.

    Args:
        data: a path; "-", which is standard input; "sample:films" or "sample:films/test"; "hub:NAME"; an iterable of
            (text, label) pairs or of mappings with the text and label keys; a mapping of two lists of equal length; a
            pandas or polars data frame. Without labels an iterable of texts is read, too.
        config: which columns hold text and label (a sample knows its own), and whether a bad row stops.
        labels: the labels there may be, where they are known; another one makes a bad row.
        need_labels: whether labels are read at all; if not, every label is None.

    Raises:
        DataError: a bad row (unless they are skipped), a file that cannot be read, or nothing left to use.
    """
    columns = (config.text, config.label) if need_labels else (config.text,)
    if need_labels and config.text == config.label:
        raise DataError(
            f'text and label are both read from "{config.text}"', fix="name two columns with --text and --label"
        )
    return _collect(
        open_source(data, "classify"),
        columns,
        stop=config.on_bad_row == "stop",
        known=None if labels is None else dict.fromkeys(labels),
    )


def read_texts(path: str | Path, config: DataConfig) -> Examples:
    """Read the text column of a file, for decoding it: every label is None.

    Raises:
        DataError: as `load_examples`.
    """
    return load_examples(path, config, need_labels=False)


def _collect(data_source: DataSource, columns: Sequence[str], *, stop: bool, known: Collection[str] | None) -> Examples:
    items = Items()

    def make(row: Row | BadRow) -> Example | BadRow:
        return row if isinstance(row, BadRow) else _example(row, known)

    rows = watched(data_source.rows(columns), data_source.source)
    counts, skipped = sift(rows, make, lambda made: items.append(*made), stop=stop, source=data_source.source)
    return Examples(data_source.name, data_source.source, items, counts, skipped, data_source.unit)


def _example(row: Row, known: Collection[str] | None) -> Example | BadRow:
    text, *rest = row.values
    if fault := text_fault(row, 0, "text"):
        return fault
    if not rest:
        return Example(text, None, row.line)
    label = rest[0]
    if isinstance(label, (bool, numbers.Integral)):
        label = json.dumps(label if isinstance(label, bool) else int(label))
    if not isinstance(label, str):
        return row.bad("label is not text", f"a label is text, a whole number, true or false; got {kind_of(label)}", 1)
    if fault := _string_fault(row, label, 1, "label"):
        return fault
    if known is not None and label not in known:
        return row.bad(UNKNOWN_LABEL, unknown_label(label, known), 1)
    return Example(str(text), str(label), row.line)


def unknown_label(label: str, known: Collection[str]) -> str:
    """Say that a label does not occur in training."""
    names = ", ".join(excerpt(name, 40) for name in islice(known, 20)) + (", …" if len(known) > 20 else "")
    return f'"{excerpt(label, 40)}" is not one of the {len(known)} labels seen in training ({names})'


def text_fault(row: Row, which: int, what: str) -> BadRow | None:
    """Say why value `which` of a row can be no text, if so; it is called `what`."""
    value = row.values[which]
    if not isinstance(value, str):
        return row.bad(f"{what} is not text", f"text is expected, got {kind_of(value)}", which)
    return _string_fault(row, value, which, what)


def _string_fault(row: Row, text: str, which: int, what: str) -> BadRow | None:
    if not text.strip():
        return row.bad(f"empty {what}", f"the {what} is empty", which)
    if has_surrogate(text):
        return row.bad("unpaired surrogate", f"the {what} {NOT_UNICODE}", which)
    return None
