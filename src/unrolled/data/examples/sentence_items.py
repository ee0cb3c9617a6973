"""Columnar storage of tagged sentences: the words, the tags and the lines of each are three texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from unrolled.data.examples.blocks import Sentence, numbers
from unrolled.data.examples.columns import RowItems

__all__ = ["SentenceItems"]

BETWEEN = "\n"  # neither words nor tags have line ends


class SentenceItems(RowItems[Sentence]):
    """Sentences with tags."""

    TEXTS = 3

    def append(self, sentence: Sentence) -> None:
        """Add a sentence to the columns."""
        words, tags, lines, ranges, empty = sentence
        if isinstance(lines, range):
            lines = lines[:1]
        self.columns.append(
            (
                BETWEEN.join(words),
                "" if tags is None else BETWEEN.join(("", *tags)),
                " ".join(map(str, (ranges, empty, *lines))),
            ),
            None,
            lines[0],
            "",
        )

    def _values(self, rows: Sequence[int]) -> Iterator[Sentence]:
        for words, tags, rest, *_ in self._read(rows):
            each = tuple(words.split(BETWEEN))
            ranges, empty, *lines = map(int, rest.split())
            if len(lines) < len(each):
                lines = [*range(lines[0], lines[0] + len(each))]
            yield Sentence(each, tuple(tags.split(BETWEEN)[1:]) if tags else None, numbers(lines), ranges, empty)
