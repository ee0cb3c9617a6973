"""Formulas of diagrams: read, and computed over tensors whose axes have letters. A grammar of a dozen signs, no eval.

    sum      = product { ("+" | "−") product }
    product  = factor { "·" factor } [ "/ √" LETTER ]
    factor   = NAME | "1" | "(" sum ")" | ("σ" | "tanh" | "relu" | OVER "_" LETTER) factor
    OVER     = "softmax" | "Σ" | "last"

A letter is an axis (docs/notation.md): `softmax_S` is over the source's steps, `Σ_K` sums over a head's numbers, `/ √K`
divides by the root of their count. Two values are multiplied or added place by place, axes matched by their letters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from torch import Tensor

__all__ = ["Formula", "Value", "read"]

SIGNS = re.compile(r"\s*(softmax_[A-Z]|Σ_[A-Z]|last_[A-Z]|/ √[A-Z]|[a-z_][a-z0-9_]*|σ|[1+−·()])")
PLACEWISE: dict[str, Callable[[Tensor], Tensor]] = {"σ": Tensor.sigmoid, "tanh": Tensor.tanh, "relu": Tensor.relu}


class Value(NamedTuple):
    """A tensor and a letter for each of its axes: weights (T, S) are Value(tensor, "TS")."""

    tensor: Tensor
    axes: str

    def over(self, axes: str) -> Tensor:
        """Return the tensor with its axes in the order of `axes`, of size 1 where it has none of that letter."""
        ordered = self.tensor.permute([self.axes.index(letter) for letter in axes if letter in self.axes])
        for place, letter in enumerate(axes):
            if letter not in self.axes:
                ordered = ordered.unsqueeze(place)
        return ordered


class Formula(NamedTuple):
    """A formula that was read: an operation and what it is applied to."""

    sign: str
    parts: tuple[Any, ...]  # formulas; of a name, the name

    def names(self) -> Iterator[str]:
        """Yield the names in it, from left to right."""
        if self.sign == "name":
            yield self.parts[0]
        else:
            for part in self.parts:
                yield from part.names()

    def __call__(self, values: Mapping[str, Value]) -> Value:
        """Return what it comes to for the values of its names."""
        if self.sign == "name":
            return values[self.parts[0]]
        if self.sign == "1":
            return Value(next(iter(values.values())).tensor.new_ones(()), "")
        first, *rest = (part(values) for part in self.parts)
        if rest:
            axes = first.axes + "".join(letter for letter in rest[0].axes if letter not in first.axes)
            a, b = first.over(axes), rest[0].over(axes)
            return Value(a * b if self.sign == "·" else a + b if self.sign == "+" else a - b, axes)
        if self.sign in PLACEWISE:
            return Value(PLACEWISE[self.sign](first.tensor), first.axes)
        letter = self.sign[-1]
        axis = first.axes.index(letter)
        if self.sign.startswith("/"):
            return Value(first.tensor / first.tensor.shape[axis] ** 0.5, first.axes)
        if self.sign.startswith("softmax"):
            return Value(first.tensor.softmax(dim=axis), first.axes)
        one = first.tensor.select(axis, -1) if self.sign.startswith("last") else first.tensor.sum(dim=axis)
        return Value(one, first.axes.replace(letter, ""))


def read(text: str) -> Formula:
    """Return the formula that `text` writes.

    Raises:
        ValueError: it is none; says where it stops being one.
    """
    reader = _Reader(text)
    formula = reader.sum()
    if reader.next is not None:
        raise reader.wrong("an operation")
    return formula


class _Reader:
    """Reads a text sign by sign; `next` is the one that comes."""

    def __init__(self, text: str) -> None:
        self.text, self.place = text, 0
        self.next: str | None = None
        self.step()

    def step(self) -> str | None:
        """Return the sign that came and go on to the one behind it."""
        came = self.next
        found = SIGNS.match(self.text, self.place)
        if found is None and self.text[self.place :].strip():
            raise self.wrong("a sign of a formula")
        self.next = found[1] if found else None
        self.place = found.end() if found else len(self.text)
        return came

    def wrong(self, wanted: str) -> ValueError:
        return ValueError(f'"{self.text}" is no formula: {wanted} must stand at or before character {self.place}')

    def sum(self) -> Formula:
        formula = self.product()
        while self.next in ("+", "−"):
            formula = Formula(str(self.step()), (formula, self.product()))
        return formula

    def product(self) -> Formula:
        formula = self.factor()
        while self.next == "·":
            formula = Formula(str(self.step()), (formula, self.factor()))
        if self.next and self.next.startswith("/"):
            formula = Formula(str(self.step()), (formula,))
        return formula

    def factor(self) -> Formula:
        sign = self.step()
        if sign == "(":
            formula = self.sum()
            if self.step() != ")":
                raise self.wrong('")"')
            return formula
        if sign == "1":
            return Formula("1", ())
        if sign in PLACEWISE or (sign and re.match(r"(softmax|Σ|last)_", sign)):
            return Formula(str(sign), (self.factor(),))
        if sign and re.match(r"[a-z_]", sign):
            return Formula("name", (sign,))
        raise self.wrong("a name, 1 or (")
