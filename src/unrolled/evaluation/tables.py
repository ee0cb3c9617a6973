"""Plain text tables for a terminal of 80 columns: whatever the labels are, no line is longer and nothing is lost
without saying so. Shares are printed as percentages.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from unrolled.errors import excerpt

if TYPE_CHECKING:
    from unrolled.evaluation.classification import ClassificationResult, ClassScores

__all__ = ["class_table", "classification_text"]

WIDTH = 80
MOST_CLASSES = 40  # rows of the table of classes
MOST_CONFUSIONS = 12  # rows of the list that stands in for a confusion matrix too wide
NARROWEST_LABEL = 20  # columns kept for a label before a matrix counts as too wide


def classification_text(result: ClassificationResult) -> str:
    """Return the summary, the classes, the confusion matrix and the accuracy by length, as lines of at most 80."""
    blocks = [_summary(result), class_table(result.classes, "class", "examples"), _confusion(result)]
    if len(result.by_length) > 1:
        blocks.append(_by_length(result))
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of cells as aligned lines: the first column to the left and cut to what is left, the others right.

    rows: the first is the head; all have as many cells.
    """
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    widths[0] = min(widths[0], WIDTH - sum(2 + other for other in widths[1:]))
    lines = []
    for first, *others in rows:
        head = cut(first, widths[0])
        cells = [" " * (size - width(cell)) + cell for cell, size in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([head + " " * (widths[0] - width(head)), *cells]).rstrip())
    return lines


def cut(text: str, columns: int) -> str:
    """Return `text` in at most `columns`, with … where something is missing."""
    if width(text) <= columns:
        return text
    while width(text) > columns - 1:
        text = text[:-1]
    return text + "…"


def width(text: str) -> int:
    """Return how many columns a terminal gives `text`: two for a wide character, none for a combining one."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _summary(result: ClassificationResult) -> Iterator[str]:
    yield f"{_count(result.n, 'example', 'examples')}, {_count(len(result.classes), 'class', 'classes')}"
    yield ""
    for name, share, (low, high) in (
        ("accuracy", result.accuracy, result.accuracy_interval),
        ("macro-F1", result.macro_f1, result.macro_f1_interval),
    ):
        yield f"{name}  {_percent(share):>5} %  ({_percent(low)} to {_percent(high)})"
    majority = cut(_safe(result.majority_label), 34)
    yield f"majority  {_percent(result.majority_accuracy):>5} %  most frequent in training: {majority}"
    yield f"loss      {result.loss_nats:>5.3f} nats an example"
    yield "In brackets: 95 % intervals, bootstrap over the examples"


def class_table(classes: Sequence[ClassScores], what: str, units: str) -> Iterator[str]:
    """Yield a table of the classes, each a `what` of so many `units`, as lines of at most 80."""
    shown = tuple(classes)
    if len(shown) > MOST_CLASSES:
        shown = tuple(sorted(shown, key=lambda scores: -scores.support)[:MOST_CLASSES])
    head = [what, "precision", "recall", "F1", units]
    yield from table(
        [head, *([_safe(s.label), *map(_percent, (s.precision, s.recall, s.f1)), f"{s.support:,}"] for s in shown)]
    )
    if len(shown) < len(classes):
        yield f"… and {len(classes) - len(shown):,} {_plural(what)} with fewer {units}"
    if absent := sum(scores.support == 0 for scores in classes):
        named = _count(absent, f"{what} has", f"{_plural(what)} have")
        yield f"{named} no {units.removesuffix('s')} here: what is undefined is shown as 0.0"


def _confusion(result: ClassificationResult) -> Iterator[str]:
    """The matrix with labels over its columns, else with numbers, else the most frequent confusions."""
    labels = [_safe(scores.label) for scores in result.classes]
    digits = len(str(len(labels) - 1))
    numbered = [f"{index:>{digits}} {label}" for index, label in enumerate(labels)]
    counts = [[f"{count:,}" for count in row] for row in result.confusion]
    cells = [max(map(len, column)) for column in zip(*counts, strict=True)]
    for rows, columns in ((labels, labels), (numbered, list(map(str, range(len(labels)))))):
        needed = sum(2 + max(cell, width(head)) for cell, head in zip(cells, columns, strict=True))
        if needed + min(NARROWEST_LABEL, max(map(width, rows))) <= WIDTH:
            yield "Confusion matrix: rows are the truth, columns the answer"
            yield from table([["", *columns], *([row, *line] for row, line in zip(rows, counts, strict=True))])
            return
    wrong = [(count, i, j) for i, row in enumerate(result.confusion) for j, count in enumerate(row) if count and i != j]
    wrong.sort(key=lambda confusion: -confusion[0])
    yield f"The most frequent of {len(wrong):,} confusions (the matrix is too wide to show here)"
    lines = [
        [f"{cut(labels[i], 27)} → {cut(labels[j], 27)}", f"{count:,}", _percent(count / result.classes[i].support)]
        for count, i, j in wrong[:MOST_CONFUSIONS]
    ]
    yield from table([["truth → answer", "examples", "% of truth"], *lines])


def _by_length(result: ClassificationResult) -> Iterator[str]:
    yield "Accuracy by length, with 95 % Wilson intervals"
    lines = [
        [
            f"{b.shortest:,} to {b.longest:,}" if b.shortest < b.longest else f"{b.shortest:,}",
            f"{b.n:,}",
            _percent(b.accuracy),
            f"({_percent(b.accuracy_interval.low)} to {_percent(b.accuracy_interval.high)})",
        ]
        for b in result.by_length
    ]
    yield from table([["tokens", "examples", "accuracy", ""], *lines])


def _safe(label: str) -> str:
    """Return a label that cannot break a line or command the terminal: control characters escaped."""
    return excerpt(label, WIDTH)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _plural(what: str) -> str:
    return what + ("es" if what.endswith("s") else "s")


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
