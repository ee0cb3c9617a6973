"""Examples for the task *classify*: texts with their labels, from a file, a sample or Python objects.

Every row is counted as used or as skipped for a reason; texts are neither truncated nor changed, and labels are strings
("NA" is a label). A row is bad if its text is missing, empty or not a string, or if its label is missing, empty or
unknown; integers and booleans of JSON and Python are labels, too, as their JSON text.
"""

from __future__ import annotations

import json
import math
import numbers
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import ClassVar, TypeAlias

from unrolled.config import DataConfig
from unrolled.data.examples.columns import MOST_NAMES, Example, Items, View
from unrolled.data.examples.labels import REGRESSION, label_form
from unrolled.data.examples.table import ExampleTable, fingerprint_of
from unrolled.data.reading.counts import Counts, Skipped, sift
from unrolled.data.reading.faults import RAISED, Faults
from unrolled.data.reading.flags import are_flags, label_columns
from unrolled.data.reading.objects import kind_of
from unrolled.data.reading.progress import watched
from unrolled.data.reading.rows import BadRow, Row
from unrolled.data.reading.sources import DataSource, open_source
from unrolled.errors import DataError, excerpt
from unrolled.strings import NOT_UNICODE, comparable, has_surrogate

__all__ = [
    "Counts",
    "Example",
    "Examples",
    "LabelReader",
    "Skipped",
    "label_fault",
    "load_examples",
    "meaning_of",
    "read_texts",
    "text_fault",
    "unknown_label",
]

UNKNOWN_LABEL = "unknown label"
LABEL = 1
"""Index of the label among the values of a row."""
LabelReader: TypeAlias = Callable[[Row], str | BadRow]
"""A function of a row that returns its label in the form in which examples store it, or the row as a bad row."""
NUMBER = re.compile(r"[+-]?\d{1,100}(\.\d{0,100})?")


@dataclass(frozen=True)
class Examples(ExampleTable[Items]):
    """Texts with labels.

    Args:
        mixed: labels that are text in some rows, and a number, true or false in others.
    """

    ITEMS: ClassVar[type[Items]] = Items

    mixed: tuple[str, ...] = ()

    def texts(self) -> View[str]:
        """Return the texts, in order."""
        return self.items.texts

    def labels(self) -> View[str]:
        """Return the labels, in order; empty without labels."""
        return self.items.labels

    def select(self, rows: Iterable[int]) -> Examples:
        """Return the examples with these indices, in this order; all count as read and used."""
        return self.with_items(self.items.select(rows))

    def error(self, item: Example, problem: str, fix: str) -> DataError:
        """Return an error about one of the items, with its location."""
        return self.error_at(item.line, item.text, problem, fix, file=item.file)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the (text, label) pairs in order."""
        return fingerprint_of(value for item in self.items for value in (item.text, item.label))


def load_examples(
    data: object,
    config: DataConfig,
    *,
    labels: Sequence[str] | None = None,
    need_labels: bool = True,
    faults: Faults = RAISED,
    task: str = "classify",
    read_label: LabelReader | None = None,
) -> Examples:
    """Read all examples of `data`.

    Args:
        data: a path; "-", which is standard input; "sample:films" or "sample:films/test"; "hub:NAME"; an iterable of
            (text, label) pairs or of mappings with the text and label keys; a mapping of two lists of equal length; a
            pandas or polars data frame. Without labels an iterable of texts is read, too.
        config: the columns of text and label (samples have their own), and whether a bad row is an error.
        labels: the allowed labels; a row with another label is bad. None: all.
        need_labels: whether labels are read; if not, every label is None.
        faults: the collector, which raises a fault or keeps it for a report.
        task: its name, for samples.
        read_label: reads labels that are not one class each; None: classes, as `labels` allows.

    Raises:
        DataError: a bad row (unless bad rows are skipped), a file that cannot be read, or no usable row.
    """
    if need_labels and config.text == config.label:
        raise DataError(
            f'text and label are both read from "{config.text}"', fix="name two columns with --text and --label"
        )
    if read_label is None:
        known = None if labels is None else dict.fromkeys(labels)
        read_label = partial(_class, known=known, form=label_form(config))
    data_source = open_source(data, task, config)
    labelled = label_columns(config, data_source.columns) if need_labels else ()
    return _collect(
        data_source,
        (config.text, *labelled),
        stop=config.on_bad_row == "stop",
        read_label=read_label if need_labels else None,
        faults=faults,
    )


def read_texts(path: str | Path, config: DataConfig, *, task: str = "classify") -> Examples:
    """Read the text column of a file, without labels.

    Raises:
        DataError: as `load_examples`.
    """
    return load_examples(path, config, need_labels=False, task=task)


def _collect(
    data_source: DataSource, columns: Sequence[str], *, stop: bool, read_label: LabelReader | None, faults: Faults
) -> Examples:
    items, types = Items(), dict[bool, set[str | None]]({True: set(), False: set()})  # labels by whether they are text

    def parse(row: Row | BadRow) -> Example | BadRow:
        example = row if isinstance(row, BadRow) else _example(row, read_label)
        if isinstance(example, Example) and isinstance(row, Row):
            labels = types[isinstance(row.values[-1], str)]
            if len(labels) < MOST_NAMES:  # more are no classes
                labels.add(example.label)
        return example

    rows = watched(data_source.rows(columns), data_source.source)
    source = data_source.source
    counts, skipped = sift(rows, parse, lambda example: items.append(*example), stop=stop, source=source, faults=faults)
    mixed = tuple(sorted(filter(None, types[True] & types[False])))
    return Examples(data_source.name, source, items, counts, skipped, data_source.unit, mixed)


def _example(row: Row, read_label: LabelReader | None) -> Example | BadRow:
    if fault := text_fault(row, 0, "text"):
        return fault
    label = None if read_label is None else read_label(row)
    return label if isinstance(label, BadRow) else Example(str(row.values[0]), label, row.line, row.location.shard)


def _class(row: Row, known: Collection[str] | None, form: Callable[[str], str]) -> str | BadRow:
    label = row.values[LABEL]
    if isinstance(label, float) and label.is_integer():  # pandas has 1.0 for 1 where another label is missing
        label = int(label)
    if isinstance(label, (bool, numbers.Integral)):
        label = json.dumps(label if isinstance(label, bool) else int(label))
    if not isinstance(label, str):
        problem = f"a label is text, a whole number, true or false; got {kind_of(label)}"
        number = isinstance(label, numbers.Real) and math.isfinite(label)
        hint = f": numbers are for {REGRESSION}" * number
        hint += "; any number of labels for a text is for --multi-label" * (isinstance(label, list) or are_flags(label))
        return row.bad("label is not text", problem + hint, LABEL)
    label = form(str(label))
    return label_fault(row, label, known) or label


def label_fault(row: Row, label: str, known: Collection[str] | None) -> BadRow | None:
    """Return a bad row if a label is empty, not Unicode, or not one of those that are `known` (None: all are)."""
    if fault := _string_fault(row, label, LABEL, "label"):
        return fault
    if known is not None and label not in known:
        return row.bad(UNKNOWN_LABEL, unknown_label(label, known), LABEL)
    return None


def unknown_label(label: str, known: Collection[str]) -> str:
    """Return the message about a label that does not occur in training."""
    names = ", ".join(excerpt(name, 40) for name in islice(known, 20)) + (", …" if len(known) > 20 else "")
    alike = next((name for name in known if meaning_of(name) == meaning_of(label)), None)
    hint = f'; it differs from "{excerpt(alike, 40)}" only in spelling' if alike is not None else ""
    return f'"{excerpt(label, 40)}" is not one of the {len(known)} labels seen in training ({names}){hint}'


@lru_cache(maxsize=1 << 14)
def meaning_of(label: str) -> str | Fraction:
    """Return a value that is equal for labels that differ only in case, spaces, Unicode form or digits (1 and 1.0)."""
    form = comparable(label)
    return Fraction(form) if NUMBER.fullmatch(form) else form


def text_fault(row: Row, which: int, name: str) -> BadRow | None:
    """Return a bad row if the value with index `which` is not a valid text; `name` is its name in messages."""
    value = row.values[which]
    if not isinstance(value, str):
        return row.bad(f"{name} is not text", f"text is expected, got {kind_of(value)}", which)
    return _string_fault(row, value, which, name)


def _string_fault(row: Row, text: str, which: int, name: str) -> BadRow | None:
    if not text.strip():
        return row.bad(f"empty {name}", f"the {name} is empty", which)
    if has_surrogate(text):
        return row.bad("unpaired surrogate", f"the {name} {NOT_UNICODE}", which)
    return None
