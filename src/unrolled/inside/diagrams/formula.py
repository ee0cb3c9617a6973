"""Parser and evaluator of the diagrams' formulas, over tensors whose axes have letters; `eval` is not used.

    sum      = product { ("+" | "−") product }
    product  = factor { "·" factor } [ "/ √" LETTER ]
    factor   = NAME | "1" | "(" sum ")" | ("σ" | "tanh" | "relu" | OVER "_" LETTER) factor
    OVER     = "softmax" | "Σ" | "last"

A letter is an axis (docs/notation.md): `softmax_S` is over the source's steps, `Σ_K` sums over a head's numbers, `/ √K`
divides by the root of their count, `last_S` takes the last index. Two values are multiplied or added elementwise, with
axes matched by their letters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from torch import Tensor

__all__ = ["Formula", "Value", "read"]

SIGNS = re.compile(r"\s*(softmax_[A-Z]|Σ_[A-Z]|last_[A-Z]|/ √[A-Z]|[a-z_][a-z0-9_]*|σ|[1+−·()])")
ELEMENTWISE: dict[str, Callable[[Tensor], Tensor]] = {"σ": Tensor.sigmoid, "tanh": Tensor.tanh, "relu": Tensor.relu}


class Value(NamedTuple):
    """Tensor with a letter for each of its axes: weights (T, S) are Value(tensor, "TS")."""

    tensor: Tensor
    axes: str

    def over(self, axes: str) -> Tensor:
        """Return the tensor with its axes in the order of `axes`; a letter that it lacks becomes an axis of size 1."""
        ordered = self.tensor.permute([self.axes.index(letter) for letter in axes if letter in self.axes])
        for position, letter in enumerate(axes):
            if letter not in self.axes:
                ordered = ordered.unsqueeze(position)
        return ordered


class Formula(NamedTuple):
    """Parsed formula: an operator and its operands."""

    sign: str
    operands: tuple[Any, ...]  # formulas; for a name, the name

    def names(self) -> Iterator[str]:
        """Yield the names in it, from left to right."""
        if self.sign == "name":
            yield self.operands[0]
        else:
            for operand in self.operands:
                yield from operand.names()

    def __call__(self, values: Mapping[str, Value]) -> Value:
        """Return the value of the formula for the values of its names."""
        if self.sign == "name":
            return values[self.operands[0]]
        if self.sign == "1":
            return Value(next(iter(values.values())).tensor.new_ones(()), "")
        first, *rest = (operand(values) for operand in self.operands)
        if rest:
            axes = first.axes + "".join(letter for letter in rest[0].axes if letter not in first.axes)
            a, b = first.over(axes), rest[0].over(axes)
            return Value(a * b if self.sign == "·" else a + b if self.sign == "+" else a - b, axes)
        if self.sign in ELEMENTWISE:
            return Value(ELEMENTWISE[self.sign](first.tensor), first.axes)
        letter = self.sign[-1]
        axis = first.axes.index(letter)
        if self.sign.startswith("/"):
            return Value(first.tensor / first.tensor.shape[axis] ** 0.5, first.axes)
        if self.sign.startswith("softmax"):
            return Value(first.tensor.softmax(dim=axis), first.axes)
        reduced = first.tensor.select(axis, -1) if self.sign.startswith("last") else first.tensor.sum(dim=axis)
        return Value(reduced, first.axes.replace(letter, ""))


def read(text: str) -> Formula:
    """Parse a formula.

    Raises:
        ValueError: a syntax error; the message gives its position.
    """
    reader = _Reader(text)
    formula = reader.sum()
    if reader.next is not None:
        raise reader.wrong("an operation")
    return formula


class _Reader:
    """Recursive-descent parser. next: the next sign, None at the end; position: the characters read so far."""

    def __init__(self, text: str) -> None:
        self.text, self.position = text, 0
        self.next: str | None = None
        self.step()

    def step(self) -> str | None:
        """Return the next sign and advance by one."""
        sign = self.next
        match = SIGNS.match(self.text, self.position)
        if match is None and self.text[self.position :].strip():
            raise self.wrong("a sign of a formula")
        self.next = match[1] if match else None
        self.position = match.end() if match else len(self.text)
        return sign

    def wrong(self, expected: str) -> ValueError:
        return ValueError(f'"{self.text}" is not a formula: expected {expected} at or before character {self.position}')

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
        if sign in ELEMENTWISE or (sign and re.match(r"(softmax|Σ|last)_", sign)):
            return Formula(str(sign), (self.factor(),))
        if sign and re.match(r"[a-z_]", sign):
            return Formula("name", (sign,))
        raise self.wrong("a name, 1 or (")
