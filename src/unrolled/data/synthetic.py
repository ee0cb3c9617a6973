"""Synthetic tasks with known memory requirements: the information to store, and the number of steps.

| task      | input                                    | answer                     | chance               |
|-----------|------------------------------------------|----------------------------|----------------------|
| `recall`  | K symbols in any order, then T blanks    | the first symbol           | accuracy 1 / K       |
| `parity`  | T bits                                   | parity of the ones         | accuracy 1 / 2       |
| `copy`    | T symbols of K, a mark, T blanks         | the symbols, at the blanks | accuracy 1 / K       |
| `reverse` | as `copy`                                | the symbols in reverse     | accuracy 1 / K       |
| `adding`  | T numbers in [0, 1), two of them marked  | the sum of the two         | squared error 1 / 6  |

The number of batches is unlimited, and batch i is a pure function of (seed, i): nothing has to be stored, split or
overfitted. In `recall` every sequence holds the same symbols, so that a bag of tokens, without their order, stays at
chance. Adding: Hochreiter & Schmidhuber 1997; at chance, the answer is the mean, 1, with the variance of a sum of two
numbers as squared error.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unrolled.data.encoding.tokenizers import SEP, SPECIAL
from unrolled.errors import ConfigError, nearest

__all__ = ["TASKS", "Drawn", "Synthetic", "make"]

Numbers = NDArray[Any]

FIRST = len(SPECIAL)  # the id of the first symbol
SEED = 0x5EED  # keeps these draws apart from others with the same seed


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
        symbols: number K of different symbols (recall, copy, reverse).
        seed: seed of all batches.
    """

    length: int
    symbols: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if self.length < self.shortest:
            raise ConfigError(f"length must be at least {self.shortest}: got {self.length}")
        if self.symbols < 2:
            raise ConfigError(f"symbols must be at least 2: got {self.symbols}")

    shortest: ClassVar[int] = 1
    answer: ClassVar[str] = "once"
    """One answer after the last step ("once"), or an answer at each step ("each")."""
    features: ClassVar[int] = 0
    """Number D of input features; 0 for ids."""

    @property
    def num_outputs(self) -> int:
        """Number V of a model's outputs; 1 for a number."""
        return self.symbols

    @property
    def vocabulary_size(self) -> int:
        """Number of ids: the special ones (<sep> is the mark), the symbols, and the blank."""
        return FIRST + self.symbols + 1

    @property
    @abstractmethod
    def at_chance(self) -> float:
        """Score of the best constant answer: the accuracy, or for `adding` the mean squared error."""

    def batch(self, index: int, size: int) -> Drawn:
        """Return batch `index` with B = `size` sequences."""
        inputs, targets = self._draw(np.random.default_rng((SEED, self.seed, index)), size)
        return Drawn(torch.from_numpy(inputs), torch.from_numpy(targets))

    @abstractmethod
    def _draw(self, random: np.random.Generator, B: int) -> tuple[Numbers, Numbers]: ...

    @property
    def _blank(self) -> int:
        return FIRST + self.symbols


class Recall(Synthetic):
    """Recall of the first of K symbols, after T blanks. Chance: accuracy 1 / K."""

    shortest = 0

    @property
    def at_chance(self) -> float:
        """1 / K."""
        return 1 / self.symbols

    def _draw(self, random: np.random.Generator, B: int) -> tuple[Numbers, Numbers]:
        order = random.permuted(np.tile(np.arange(self.symbols), (B, 1)), axis=1)
        return np.concatenate([FIRST + order, np.full((B, self.length), self._blank)], axis=1), order[:, 0]


class Parity(Synthetic):
    """Parity of the number of ones among T bits, answered after the last bit. A guess has accuracy 1 / 2."""

    @property
    def at_chance(self) -> float:
        """1 / 2."""
        return 0.5

    @property
    def num_outputs(self) -> int:
        """2: even and odd."""
        return 2

    def _draw(self, random: np.random.Generator, B: int) -> tuple[Numbers, Numbers]:
        bits = random.integers(0, 2, size=(B, self.length))
        return FIRST + bits, bits.sum(axis=1) % 2


class Copy(Synthetic):
    """T symbols, a mark, and T steps to repeat them. Chance: accuracy 1 / K."""

    answer = "each"

    @property
    def at_chance(self) -> float:
        """1 / K."""
        return 1 / self.symbols

    def _draw(self, random: np.random.Generator, B: int) -> tuple[Numbers, Numbers]:
        T, symbols = self.length, random.integers(0, self.symbols, size=(B, self.length))
        inputs = np.concatenate([FIRST + symbols, np.full((B, 1), SEP), np.full((B, T), self._blank)], axis=1)
        return inputs, np.concatenate([np.full((B, T + 1), -1), self._answers(symbols)], axis=1)

    def _answers(self, symbols: Numbers) -> Numbers:
        return symbols


class Reverse(Copy):
    """T symbols, a mark, and T steps to repeat them in reverse order. Chance: accuracy 1 / K."""

    def _answers(self, symbols: Numbers) -> Numbers:
        return symbols[:, ::-1]


class Adding(Synthetic):
    """Sum of the two marked ones of T numbers in [0, 1): features (number, mark). Chance: squared error 1 / 6."""

    shortest, features = 2, 2

    @property
    def at_chance(self) -> float:
        """1 / 6, for the constant answer 1: twice the variance of one number, 1 / 12."""
        return 1 / 6

    @property
    def num_outputs(self) -> int:
        """1: the number itself."""
        return 1

    def _draw(self, random: np.random.Generator, B: int) -> tuple[Numbers, Numbers]:
        numbers = random.random((B, self.length), dtype=np.float32)
        marks = random.permuted(np.tile(np.arange(self.length) < 2, (B, 1)), axis=1).astype(np.float32)
        return np.stack([numbers, marks], axis=2), (numbers * marks).sum(axis=1)


TASKS: dict[str, type[Synthetic]] = {
    "recall": Recall, "parity": Parity, "copy": Copy, "reverse": Reverse, "adding": Adding,
}  # fmt: skip


def make(name: str, length: int, *, symbols: int = 8, seed: int = 0) -> Synthetic:
    """Return the task called `name`.

    Raises:
        ConfigError: the task is unknown (the message gives the nearest), or a value is out of range.
    """
    if name not in TASKS:
        raise ConfigError(f'there is no synthetic task "{name}"{nearest(name, TASKS)}; there are {", ".join(TASKS)}')
    return TASKS[name](length, symbols, seed)
