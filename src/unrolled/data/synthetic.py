"""Synthetic tasks with a knob: what must be remembered, and for how long, is known, because it was made so.

| task      | input                                    | answer                     | chance               |
|-----------|------------------------------------------|----------------------------|----------------------|
| `recall`  | K symbols in any order, then T blanks    | which symbol came first    | accuracy 1 / K       |
| `parity`  | T bits                                   | whether the ones are odd   | accuracy 1 / 2       |
| `copy`    | T symbols of K, a mark, T blanks         | the symbols, at the blanks | accuracy 1 / K       |
| `reverse` | the same                                 | the same, the last first   | accuracy 1 / K       |
| `adding`  | T numbers in [0, 1), two of them marked  | the sum of the two         | squared error 1 / 6  |

Batches never end, and batch i is a pure function of (seed, i): there is nothing to store, to split or to overfit.
In `recall` every sequence holds the same symbols, so that a bag, which does not know their order, stays at chance.
Adding: Hochreiter & Schmidhuber 1997, who answer with the mean, 1, and so are off by the variance of a sum of two.
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

    Targets are classes (B,); or a class at each step, (B, T), and −1 where nothing is asked; or numbers (B,).
    """

    inputs: Tensor
    targets: Tensor


@dataclass(frozen=True)
class Synthetic(ABC):
    """A task without end.

    Args:
        length: T, the knob. symbols: K, how many different ones there are (recall, copy, reverse).
        seed: of all batches.
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
    """Whether a model is asked once, after the last step, or at each."""
    features: ClassVar[int] = 0
    """D of the inputs; 0 where they are ids."""

    @property
    def num_outputs(self) -> int:
        """V of a model's logits; 1 where a number is asked for."""
        return self.symbols

    @property
    def vocabulary_size(self) -> int:
        """How many ids there are: the special ones (<sep> is the mark), the symbols, and the blank."""
        return FIRST + self.symbols + 1

    @property
    @abstractmethod
    def at_chance(self) -> float:
        """What who knows nothing of the inputs reaches: the accuracy, or of `adding` the mean squared error."""

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
    """Which of K symbols came first, T blanks ago. Chance: accuracy 1 / K."""

    shortest = 0

    @property
    def at_chance(self) -> float:
        """1 / K."""
        return 1 / self.symbols

    def _draw(self, random: np.random.Generator, B: int) -> tuple[Numbers, Numbers]:
        order = random.permuted(np.tile(np.arange(self.symbols), (B, 1)), axis=1)
        return np.concatenate([FIRST + order, np.full((B, self.length), self._blank)], axis=1), order[:, 0]


class Parity(Synthetic):
    """Whether the number of ones among T bits is odd. Chance: accuracy 1 / 2."""

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
    """T symbols, a mark, and T steps at which to say them again. Chance: accuracy 1 / K."""

    answer = "each"

    @property
    def at_chance(self) -> float:
        """1 / K."""
        return 1 / self.symbols

    def _draw(self, random: np.random.Generator, B: int) -> tuple[Numbers, Numbers]:
        T, said = self.length, random.integers(0, self.symbols, size=(B, self.length))
        inputs = np.concatenate([FIRST + said, np.full((B, 1), SEP), np.full((B, T), self._blank)], axis=1)
        return inputs, np.concatenate([np.full((B, T + 1), -1), self._wanted(said)], axis=1)

    def _wanted(self, said: Numbers) -> Numbers:
        return said


class Reverse(Copy):
    """T symbols, a mark, and T steps at which to say them from the last to the first. Chance: accuracy 1 / K."""

    def _wanted(self, said: Numbers) -> Numbers:
        return said[:, ::-1]


class Adding(Synthetic):
    """The sum of two of T numbers in [0, 1), which are marked: features (number, mark). Chance: squared error 1 / 6."""

    shortest, features = 2, 2

    @property
    def at_chance(self) -> float:
        """1 / 6, of answering 1 each time: twice the variance of one number, 1 / 12."""
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
        ConfigError: there is no such task (the nearest is named), or a value is out of range.
    """
    if name not in TASKS:
        raise ConfigError(f'there is no synthetic task "{name}"{nearest(name, TASKS)}; there are {", ".join(TASKS)}')
    return TASKS[name](length, symbols, seed)
