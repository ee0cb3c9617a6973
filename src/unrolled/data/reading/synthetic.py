"""Synthetic tasks as data: rows in words, drawn as they are read, and named by an address.

`synthetic:recall?length=40&rows=5000` names all rows of a task, `synthetic:recall/test?length=40` those of one split.
What an address names follows from it alone, on any machine, so nothing is stored:

    row n of split s    row n mod 256 of batch 3 ⌊n / 256⌋ + s, with 0 for training, 1 for validation, 2 for test

So the splits share no draw, and the first rows are the same however many are drawn. The test split may have another
length than the other two, `test_length`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count, islice
from typing import Any

from unrolled.config import DataConfig
from unrolled.data import synthetic
from unrolled.data.reading.addresses import SYNTHETIC_PREFIX
from unrolled.data.reading.rows import Location, Row, Rows
from unrolled.data.reading.split_names import SPLITS, no_split
from unrolled.errors import DataError, excerpt, nearest

__all__ = ["Draws", "parse"]

BLOCK = 256  # rows drawn together
LONGEST, MOST = 100_000, 10_000_000  # steps of a row, rows of a split
SIZE = 1_000_000_000  # words of a split, at most
NUMBER = re.compile(r"[0-9]{1,9}")
PAIRS, LABELS = ("source", "target"), ("text", "label")


@dataclass(frozen=True)
class Draws:
    """The rows that an address names.

    Args:
        address: the address.
        name: name of the task.
        split: the split that it names; None: all three.
        length, test_length: T of training and validation, and of test.
        symbols, gap, seed: see `synthetic.Synthetic`; the default gap is that of the task.
        rows, valid_rows, test_rows: numbers of rows of the three splits.
    """

    address: str
    name: str
    split: str | None
    length: int = 20
    test_length: int | None = None
    symbols: int = 8
    gap: int | None = None
    seed: int = 0
    rows: int = 10_000
    valid_rows: int = 1_000
    test_rows: int = 1_000

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that it serves."""
        kind = synthetic.TASKS[self.name]
        if kind.answer == "each":
            return ("translate", "tag") if kind.marked else ("tag",)
        return ("regress",) if kind.features else ("classify",)

    @property
    def rule(self) -> str:
        """The rule of the task, a sentence."""
        return (synthetic.TASKS[self.name].__doc__ or "").split(" Chance:")[0]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the two columns."""
        return PAIRS if "translate" in self.tasks else LABELS

    @property
    def sizes(self) -> dict[str, int]:
        """Number of rows of each split."""
        return dict(zip(SPLITS, (self.rows, self.valid_rows, self.test_rows), strict=True))

    @property
    def size(self) -> int:
        """Number of rows of all splits."""
        return sum(self.sizes.values())

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that suit: a token a word, each in the vocabulary; sources of any length; no smoothed labels."""
        return {
            "tokenizer": "word",
            "lowercase": False,
            "min_frequency": 1,
            "whole_words": 0,
            "max_length": max(DataConfig().max_length, *map(self.longest, SPLITS)),
            "label_smoothing": 0.0,
        }

    def sequences(self) -> Iterator[tuple[list[str], list[str]]]:
        """Yield the words and the answers of each row: one, or one for each word."""
        for split in SPLITS if self.split is None else (self.split,):
            yield from islice(self._drawn(split), self.sizes[split])

    def rows_of(self, columns: Sequence[str]) -> Rows:
        """Yield the rows with the values of the columns: a text and its label, or a source and its target."""
        location = Location(self.address, tuple(columns), (None,) * len(columns), "row")
        for number, (words, answers) in enumerate(self.sequences(), start=1):
            shown = words[: words.index(synthetic.MARK)] if self.columns == PAIRS else words
            answer = [each for each in answers if each != synthetic.NO_ANSWER]
            values = " ".join(shown), " ".join(answer)
            yield Row(location, number, values[: len(columns)], values[0])

    def task(self, split: str) -> synthetic.Synthetic:
        """Return the task that a split is drawn from."""
        length = self.length if split != "test" or self.test_length is None else self.test_length
        return synthetic.make(self.name, length, symbols=self.symbols, seed=self.seed, gap=self.gap)

    def longest(self, split: str) -> int:
        """Return an upper bound of the number of words of a row."""
        task = self.task(split)
        return task.steps * task.length + (task.length if task.gap is None else task.gap) + task.symbols + 1

    def _drawn(self, split: str) -> Iterator[tuple[list[str], list[str]]]:
        """Yield the sequences of a split, without end."""
        task = self.task(split)
        return chain.from_iterable(task.examples(i, BLOCK) for i in count(SPLITS.index(split), len(SPLITS)))


def parse(address: str) -> Draws:
    """Return the draws that an address names.

    Raises:
        DataError: the task, the split or a parameter is unknown (the message gives the nearest), a value is no number,
            out of range or repeated, or there are too many rows.
    """
    path, _, query = address.removeprefix(SYNTHETIC_PREFIX).partition("?")
    name, slash, split = path.partition("/")
    if name not in synthetic.TASKS:
        problem = f'there is no synthetic task "{excerpt(name, 40)}"{nearest(name, synthetic.TASKS)}'
        raise DataError(problem, fix=f"tasks are {', '.join(SYNTHETIC_PREFIX + known for known in synthetic.TASKS)}")
    if slash and split not in SPLITS:
        raise no_split(f"synthetic task {name}", split, (f"{SYNTHETIC_PREFIX}{name}/{known}" for known in SPLITS))
    draws = Draws(address, name, split or None, **_values(address, name, query))
    for each, rows in draws.sizes.items():
        if rows * (longest := draws.longest(each)) > SIZE:
            problem = f"the {each} split has {rows:,} rows of up to {longest:,} words, which is more than {SIZE:,}"
            raise DataError(problem, file=address, fix="ask for fewer or shorter rows")
    return draws


def _values(address: str, name: str, query: str) -> dict[str, int]:
    """Return the values of the parameters in an address."""
    kind = synthetic.TASKS[name]
    ranges, values = _ranges(kind), dict[str, int]()
    for parameter, _, value in (each.partition("=") for each in query.split("&") if query):
        if parameter == "gap" and kind.length_is_gap:
            parameter = "length"
        if parameter not in ranges:
            problem = f'{name} has no parameter "{excerpt(parameter, 40)}"{nearest(parameter, ranges)}'
            distance = "" if "gap" in ranges else "; its length is the distance"
            raise DataError(problem, file=address, fix=f"its parameters are {', '.join(ranges)}{distance}")
        if parameter in values:
            raise DataError(f"{parameter} is given twice", file=address, fix="remove one")
        low, high = ranges[parameter]
        if not NUMBER.fullmatch(value) or not low <= int(value) <= high:
            problem = f'{parameter} must be a whole number between {low} and {high:,}: got "{excerpt(value, 40)}"'
            example = f"{SYNTHETIC_PREFIX}{name}/test?{parameter}={max(low, 40)}"
            raise DataError(problem, file=address, fix=f"write it as in {example}")
        values[parameter] = int(value)
    return values


def _ranges(kind: type[synthetic.Synthetic]) -> Mapping[str, tuple[int, int]]:
    """Return the parameters of a task, with the smallest and the largest value of each."""
    length, rows = (kind.shortest, min(LONGEST, kind.most)), (1, MOST)
    return {
        "length": length,
        **({"test_length": length} if kind.any_length else {}),
        **({"symbols": (2, 10_000)} if kind.has_symbols else {}),
        **({"gap": (0, LONGEST)} if kind.has_gap else {}),
        "seed": (0, 10**9 - 1),
        "rows": rows,
        "valid_rows": rows,
        "test_rows": rows,
    }
