"""Synthetic tasks with known memory requirements: the information to store, and the number of steps.

====================   ================================================   ==========================   =============
task                   input                                              answer                       chance
====================   ================================================   ==========================   =============
`recall`               K symbols in any order, then T blanks              the first symbol             1 / K
`parity`               T bits                                             parity of the ones           1 / 2
`keyed_majority`       P or N, then T bits                                P: more ones; N: not so      1 / 2
`temporal_order`       T of K distractors, two of them replaced by X, Y   XX, XY, YX or YY             1 / 4
`agreement`            a noun, then T others of either number             the number of the first      1 / 2
`dyck`                 T brackets of K kinds, at least one stays open     the kind that has to close   1 / K
`associative_recall`   T pairs of a key and one of K values, then a key   the value of that key        1 / K
`copy`                 T symbols of K, a gap, a mark, T blanks            the symbols, at the blanks   1 / K
`reverse`              as `copy`                                          the symbols in reverse       1 / K
`selective_copy`       T symbols of K among blanks, a mark, T blanks      the symbols, at the blanks   1 / K
`mqar`                 T pairs of a key and one of K values, then the     the values, at the keys      1 / K
                       keys again among blanks
`induction`            T of K symbols and an X among them, then an X      the symbol after the first   1 / K
`s3`                   T permutations of 3 letters                        the product at each step     1 / 6
`a5`                   T even permutations of 5 letters                   the product at each step     1 / 60
`adding`               T numbers in [0, 1), two of them marked            the sum of the two           1 / 6 (error)
====================   ================================================   ==========================   =============

The number of batches is unlimited, and batch i is a pure function of (seed, i): nothing has to be stored, split or
overfitted. Chance is the accuracy of the best constant answer. In `recall` every sequence holds the same symbols, so
that a bag of tokens, without their order, stays at chance. T may differ between training and test: the ids and the
outputs do not depend on it (but for the keys of `associative_recall`).

`examples` gives the sequences of a batch in words, from which rows are made (data/reading/synthetic.py).
There `adding` has digits from 0 to 9 as numbers, marked by an x, and its answer is their sum divided by 10: at chance
0.9, with the squared error 0.165.

Sources: adding and temporal order, Hochreiter & Schmidhuber 1997 (experiments 4 and 6a; at chance the answer to adding
is the mean, 1, with the variance of a sum of two numbers as squared error). Dyck: Suzgun et al. 2019. Associative
recall: Ba et al. 2016. Selective copy: Gu & Dao 2023. Agreement, after Linzen, Dupoux & Goldberg 2016. Keyed majority
is ours: the key has to be kept while the rest is counted. Multi-query associative recall (`mqar`): Arora et al. 2023.
Induction: Olsson et al. 2022. Words of groups: Barrington 1989, Merrill, Petty & Sabharwal 2024; those of A5 cannot be
multiplied by circuits of constant depth, unless NC1 is TC0, and those of S3 can.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unrolled.data.special import SEP, SPECIAL
from unrolled.errors import ConfigError, nearest

__all__ = ["MARK", "NO_ANSWER", "TASKS", "Drawn", "Synthetic", "make"]

Numbers = NDArray[Any]

FIRST = len(SPECIAL)  # the id of the first symbol
SEED = 0x5EED  # keeps these draws apart from others with the same seed
BLANK, MARK = ".", "|"  # words
NO_ANSWER = "-"
"""The answer in words of a step without one."""


class Drawn(NamedTuple):
    """A batch: inputs, ids (B, T) or features (B, T, D), and targets.

    Targets are classes (B,); or a class at each step, (B, T), with −1 at steps without a target; or numbers (B,).
    """

    inputs: Tensor
    targets: Tensor


@dataclass(frozen=True)
class Synthetic(ABC):
    """A task with an unlimited number of batches.

    Args:
        length: T, the difficulty.
        symbols: number K of different symbols; without use for parity, keyed_majority and adding.
        seed: seed of all batches.
        gap: number of blanks, before the mark of copy and reverse (default 0), among the symbols of selective_copy and
            the asked keys of mqar (default T); no other task has one.
    """

    length: int
    symbols: int = 8
    seed: int = 0
    gap: int | None = None

    def __post_init__(self) -> None:
        if self.length < self.shortest:
            raise ConfigError(f"length must be at least {self.shortest}: got {self.length}")
        if self.length > self.most:
            raise ConfigError(f"length must be at most {self.most:,}: got {self.length}")
        if self.symbols < 2:
            raise ConfigError(f"symbols must be at least 2: got {self.symbols}")
        if self.gap is not None and not self.has_gap:
            raise ConfigError(
                "gap is for copy, reverse, selective_copy and mqar; in other tasks length is the distance"
            )
        if self.gap is not None and self.gap < 0:
            raise ConfigError(f"gap must be at least 0: got {self.gap}")

    has_gap: ClassVar[bool] = False
    length_is_gap: ClassVar[bool] = False
    """True where length is the distance to the answer: in an address, gap is another name for it."""
    has_symbols: ClassVar[bool] = True
    any_length: ClassVar[bool] = True
    """Whether ids and outputs are the same for every T."""
    shortest: ClassVar[int] = 1
    most: ClassVar[int] = 100_000
    """The largest length."""
    steps: ClassVar[int] = 2
    """Steps of a row for each unit of its length, at most; without its gap."""
    marked: ClassVar[bool] = True
    """Whether the answers of each step follow a mark, so that they are a target as well."""
    answer: ClassVar[str] = "once"
    """One answer after the last step ("once"), or an answer at each step ("each")."""
    features: ClassVar[int] = 0
    """Number D of input features; 0 for ids."""

    classes: ClassVar[int] = 0
    """Number of different answers; 0: the K symbols."""

    @property
    def num_outputs(self) -> int:
        """Number V of a model's outputs; 1 for a number."""
        return self.classes or self.symbols

    @property
    def vocabulary_size(self) -> int:
        """Number of ids: the special ones (<sep> is the mark), and the words."""
        return FIRST + len(self.words)

    @property
    def words(self) -> Sequence[str]:
        """The words of the ids from FIRST on: here the symbols, and the blank."""
        return [*_symbols(self.symbols), BLANK]

    @property
    def answers(self) -> Sequence[str]:
        """The words of the answers (V): here the symbols."""
        return _symbols(self.symbols)

    @property
    def at_chance(self) -> float:
        """Score of the best constant answer: the accuracy 1 / V, or for `adding` the mean squared error."""
        return 1 / self.num_outputs

    def batch(self, index: int, size: int) -> Drawn:
        """Return batch `index` with B = `size` sequences."""
        inputs, targets = self._draw(np.random.default_rng((SEED, self.seed, index)), size)
        return Drawn(torch.from_numpy(inputs), torch.from_numpy(targets))

    def examples(self, index: int, size: int) -> Iterator[tuple[list[str], list[str]]]:
        """Yield the sequences of batch `index` in words: its words, and the answer, or one for each word."""
        inputs, targets = self.batch(index, size)
        words = {SEP: MARK, **dict(enumerate(self.words, FIRST))}
        answers = {-1: NO_ANSWER, **dict(enumerate(self.answers))}
        for ids, classes in zip(inputs.tolist(), targets.view(size, -1).tolist(), strict=True):
            yield [words[i] for i in ids], [answers[k] for k in classes]

    @abstractmethod
    def _draw(self, random: np.random.Generator, B: int) -> tuple[Numbers, Numbers]: ...

    @property
    def _blank(self) -> int:
        return FIRST + self.symbols


class Recall(Synthetic):
    """Recall of the first of K symbols, after T blanks. Chance: accuracy 1 / K."""

    length_is_gap = True
    shortest = 0

    def _draw(self, random: np.random.Generator, B: int) -> tuple[Numbers, Numbers]:
        order = random.permuted(np.tile(np.arange(self.symbols), (B, 1)), axis=1)
        return np.concatenate([FIRST + order, np.full((B, self.length), self._blank)], axis=1), order[:, 0]


class Parity(Synthetic):
    """Parity of the number of ones among T bits, answered after the last bit. Chance: accuracy 1 / 2."""

    has_symbols, classes = False, 2
    words, answers = ("0", "1"), ("even", "odd")

    def _draw(self, random: np.random.Generator, B: int) -> tuple[Numbers, Numbers]:
        bits = random.integers(0, 2, size=(B, self.length))
        return FIRST + bits, bits.sum(axis=1) % 2


class KeyedMajority(Synthetic):
    """A key, P or N, then T bits: for P whether most are ones, for N whether not. Chance: accuracy 1 / 2."""

    has_symbols, classes = False, 2
    words, answers = ("0", "1", "P", "N"), ("no", "yes")

    def _draw(self, random: np.random.Generator, B: int) -> tuple[Numbers, Numbers]:
        bits, key = random.integers(0, 2, size=(B, self.length)), random.integers(0, 2, size=B)
        most = 2 * bits.sum(axis=1) > self.length
        return np.concatenate([FIRST + 2 + key[:, None], FIRST + bits], axis=1), (most ^ (key == 1)).astype(np.int64)


class TemporalOrder(Synthetic):
    """Order of two marked symbols, one in each half of T steps: XX, XY, YX or YY. Chance: accuracy 1 / 4."""

    shortest, classes = 2, 4
    answers = "XX", "XY", "YX", "YY"

    @property
    def words(self) -> Sequence[str]:
        """The distractors, X and Y."""
        return [*_symbols(self.symbols), "X", "Y"]

    def _draw(self, random: np.random.Generator, B: int) -> tuple[Numbers, Numbers]:
        T, half, rows = self.length, self.length // 2, np.arange(B)
        ids = random.integers(0, self.symbols, size=(B, T))
        first, second = random.integers(0, 2, size=(2, B))
        ids[rows, random.integers(0, half, size=B)] = self.symbols + first
        ids[rows, random.integers(half, T, size=B)] = self.symbols + second
        return FIRST + ids, 2 * first + second


class Agreement(Synthetic):
    """Number, singular or plural, of the first of T + 1 nouns, each of K in either number. Chance: accuracy 1 / 2."""

    classes = 2
    answers = "singular", "plural"

    @property
    def words(self) -> Sequence[str]:
        """Each noun in both numbers."""
        return [f"{noun}{k}" for k in range(self.symbols) for noun in ("noun", "nouns")]

    def _draw(self, random: np.random.Generator, B: int) -> tuple[Numbers, Numbers]:
        nouns = random.integers(0, 2 * self.symbols, size=(B, self.length + 1))
        return FIRST + nouns, nouns[:, 0] % 2


class Dyck(Synthetic):
    """Kind of the innermost bracket that is still open after T brackets of K kinds. Chance: accuracy 1 / K."""

    @property
    def words(self) -> Sequence[str]:
        """Each kind of bracket: a small letter opens, its capital closes."""
        return [*_symbols(self.symbols), *self.answers]

    @property
    def answers(self) -> Sequence[str]:
        """The closing brackets."""
        return [symbol.upper() for symbol in _symbols(self.symbols)]

    def _draw(self, random: np.random.Generator, B: int) -> tuple[Numbers, Numbers]:
        T, rows = self.length, np.arange(B)
        kinds, closes = random.integers(0, self.symbols, size=(B, T)), random.integers(0, 2, size=(B, T)) == 1
        stack, depth, ids = np.zeros((B, T), np.int64), np.zeros(B, np.int64), np.zeros((B, T), np.int64)
        for t in range(T):
            close = closes[:, t] & (depth > 1)  # one stays open
            top = stack[rows, np.maximum(depth - 1, 0)]
            ids[:, t] = np.where(close, self.symbols + top, kinds[:, t])
            stack[rows[~close], depth[~close]] = kinds[~close, t]
            depth += np.where(close, -1, 1)
        return FIRST + ids, stack[rows, depth - 1]


class AssociativeRecall(Synthetic):
    """Value of a key among T pairs of a key and one of K values. Chance: accuracy 1 / K."""

    any_length = False

    @property
    def words(self) -> Sequence[str]:
        """The values, and T keys, which are numbers."""
        return [*_symbols(self.symbols), *map(str, range(self.length))]

    def _draw(self, random: np.random.Generator, B: int) -> tuple[Numbers, Numbers]:
        T, rows = self.length, np.arange(B)
        keys = random.permuted(np.tile(np.arange(T), (B, 1)), axis=1)
        values, asked = random.integers(0, self.symbols, size=(B, T)), random.integers(0, T, size=B)
        pairs = np.stack([self.symbols + keys, values], axis=2).reshape(B, 2 * T)
        query = self.symbols + keys[rows, asked]
        return FIRST + np.concatenate([pairs, query[:, None]], axis=1), values[rows, asked]


class Copy(Synthetic):
    """T symbols, a gap of blanks, a mark, and T steps to repeat them. Chance: accuracy 1 / K."""

    answer, has_gap = "each", True

    def _draw(self, random: np.random.Generator, B: int) -> tuple[Numbers, Numbers]:
        T, symbols = self.length, random.integers(0, self.symbols, size=(B, self.length))
        shown = self._shown(random, FIRST + symbols)
        inputs = np.concatenate([shown, np.full((B, 1), SEP), np.full((B, T), self._blank)], axis=1)
        return inputs, np.concatenate([np.full((B, shown.shape[1] + 1), -1), self._answers(symbols)], axis=1)

    def _shown(self, random: np.random.Generator, ids: Numbers) -> Numbers:
        """Return the ids with their blanks, (B, T + gap)."""
        return np.concatenate([ids, np.full((len(ids), self.gap or 0), self._blank)], axis=1)

    def _answers(self, symbols: Numbers) -> Numbers:
        return symbols


class Reverse(Copy):
    """T symbols, a mark, and T steps to repeat them in reverse order. Chance: accuracy 1 / K."""

    def _answers(self, symbols: Numbers) -> Numbers:
        return symbols[:, ::-1]


class SelectiveCopy(Copy):
    """T symbols among blanks, a mark, and T steps to repeat them in order. Chance: accuracy 1 / K."""

    def _shown(self, random: np.random.Generator, ids: Numbers) -> Numbers:
        B, T = ids.shape
        steps = T + (T if self.gap is None else self.gap)
        at = np.sort(random.permuted(np.tile(np.arange(steps), (B, 1)), axis=1)[:, :T], axis=1)
        shown = np.full((B, steps), self._blank)
        np.put_along_axis(shown, at, ids, axis=1)
        return shown


class MQAR(Synthetic):
    """T pairs of a key and one of K values, then all keys again in any order, among blanks: their values. Chance:
    accuracy 1 / K."""

    answer, has_gap, marked, most, steps = "each", True, False, 256, 3

    @property
    def words(self) -> Sequence[str]:
        """The values, the blank, and the keys, which are numbers."""
        return [*_symbols(self.symbols), BLANK, *map(str, range(self.most))]

    def _draw(self, random: np.random.Generator, B: int) -> tuple[Numbers, Numbers]:
        T, gap = self.length, self.length if self.gap is None else self.gap
        keys = random.permuted(np.tile(np.arange(self.most), (B, 1)), axis=1)[:, :T]
        values = random.integers(0, self.symbols, size=(B, T))
        pairs = np.stack([self.symbols + 1 + keys, values], axis=2).reshape(B, 2 * T)
        order = random.permuted(np.tile(np.arange(T), (B, 1)), axis=1)
        at = np.sort(random.permuted(np.tile(np.arange(T + gap), (B, 1)), axis=1)[:, :T], axis=1)
        asked, answers = np.full((B, T + gap), self.symbols), np.full((B, T + gap), -1)
        np.put_along_axis(asked, at, self.symbols + 1 + np.take_along_axis(keys, order, axis=1), axis=1)
        np.put_along_axis(answers, at, np.take_along_axis(values, order, axis=1), axis=1)
        inputs = FIRST + np.concatenate([pairs, asked], axis=1)
        return inputs, np.concatenate([np.full((B, 2 * T), -1), answers], axis=1)


class Induction(Synthetic):
    """T of K symbols, with an X among them, then an X: the symbol after the first X. Chance: accuracy 1 / K."""

    @property
    def words(self) -> Sequence[str]:
        """The symbols, and X."""
        return [*_symbols(self.symbols), "X"]

    def _draw(self, random: np.random.Generator, B: int) -> tuple[Numbers, Numbers]:
        T, rows = self.length, np.arange(B)
        symbols, at = random.integers(0, self.symbols, size=(B, T)), random.integers(0, T, size=B)
        ids = np.full((B, T + 2), self.symbols)
        after = np.arange(T) + (np.arange(T) >= at[:, None])  # the symbols from there on stand one step later
        np.put_along_axis(ids, after, symbols, axis=1)
        return FIRST + ids, symbols[rows, at]


class S3(Synthetic):
    """T permutations of three letters: their product at each step. Chance: accuracy 1 / 6."""

    answer, has_symbols, marked, classes = "each", False, False, 6
    letters: ClassVar[str] = "abc"
    even: ClassVar[bool] = False

    @property
    def words(self) -> Sequence[str]:
        """The permutations, each by the letters that take the places of a, b, c."""
        return ["".join(self.letters[i] for i in p) for p in self._permutations()]

    @property
    def answers(self) -> Sequence[str]:
        """The permutations."""
        return self.words

    def _permutations(self) -> list[tuple[int, ...]]:
        every = list(itertools.permutations(range(len(self.letters))))
        return [p for p in every if not self.even or _inversions(p) % 2 == 0]

    def _draw(self, random: np.random.Generator, B: int) -> tuple[Numbers, Numbers]:
        group = self._permutations()
        index = {p: k for k, p in enumerate(group)}
        # after p comes q: the letter at place i is the one that p has at place q[i]
        table = np.array([[index[tuple(p[i] for i in q)] for q in group] for p in group])
        words = random.integers(0, len(group), size=(B, self.length))
        products = np.empty_like(words)
        at = np.zeros(B, np.int64)  # the identity is the first permutation
        for t in range(self.length):
            products[:, t] = at = table[at, words[:, t]]
        return FIRST + words, products


class A5(S3):
    """T even permutations of five letters: their product at each step. Chance: accuracy 1 / 60."""

    classes, letters, even = 60, "abcde", True


class Adding(Synthetic):
    """Sum of the two marked ones of T numbers in [0, 1): features (number, mark). Chance: squared error 1 / 6."""

    shortest, features, classes = 2, 2, 1
    has_symbols = False

    @property
    def at_chance(self) -> float:
        """1 / 6, for the constant answer 1: twice the variance of one number, 1 / 12."""
        return 1 / 6

    def _draw(self, random: np.random.Generator, B: int) -> tuple[Numbers, Numbers]:
        numbers = random.random((B, self.length), dtype=np.float32)
        marks = random.permuted(np.tile(np.arange(self.length) < 2, (B, 1)), axis=1).astype(np.float32)
        return np.stack([numbers, marks], axis=2), (numbers * marks).sum(axis=1)

    def examples(self, index: int, size: int) -> Iterator[tuple[list[str], list[str]]]:
        """Yield the sequences of batch `index`: digits, ⌊10 · number⌋, with an x before the marked ones, and a tenth
        of their sum.
        """
        numbers, marks = self.batch(index, size).inputs.double().unbind(2)
        for digits, marked in zip((10 * numbers).long().tolist(), marks.tolist(), strict=True):
            total = sum(digit for digit, mark in zip(digits, marked, strict=True) if mark)
            yield ["x" * int(mark) + str(digit) for digit, mark in zip(digits, marked, strict=True)], [str(total / 10)]


TASKS: dict[str, type[Synthetic]] = {
    "recall": Recall,
    "parity": Parity,
    "keyed_majority": KeyedMajority,
    "temporal_order": TemporalOrder,
    "agreement": Agreement,
    "dyck": Dyck,
    "associative_recall": AssociativeRecall,
    "copy": Copy,
    "reverse": Reverse,
    "selective_copy": SelectiveCopy,
    "mqar": MQAR,
    "induction": Induction,
    "s3": S3,
    "a5": A5,
    "adding": Adding,
}


def _symbols(count: int) -> list[str]:
    """Return the names of that many symbols: a to z, then aa, ab and so on."""
    names = (
        "".join(letters)
        for length in itertools.count(1)
        for letters in itertools.product(ascii_lowercase, repeat=length)
    )
    return list(itertools.islice(names, count))


def _inversions(p: Sequence[int]) -> int:
    """Return the number of pairs of a permutation that are out of order."""
    return sum(a > b for a, b in itertools.combinations(p, 2))


def make(name: str, length: int, *, symbols: int = 8, seed: int = 0, gap: int | None = None) -> Synthetic:
    """Return the task called `name`.

    Args:
        name: a key of TASKS.
        length: T, the difficulty.
        symbols: number K of different symbols.
        seed: seed of all batches.
        gap: number of blanks of copy, reverse, selective_copy and mqar; None: see Synthetic.

    Raises:
        ConfigError: the task is unknown (the message gives the nearest), or a value is out of range.
    """
    if name not in TASKS:
        raise ConfigError(f'there is no synthetic task "{name}"{nearest(name, TASKS)}; there are {", ".join(TASKS)}')
    return TASKS[name](length, symbols, seed, gap)
