"""Examples for the task *regress*: texts with a number each.

A number is a finite decimal number, as 4, -0.5 or 1e3: as text, or as a number of JSON or Python. In text another
character may stand before the decimals (`decimal`). A number is stored as the shortest text that reads back to it, so
that 4, 4.0 and "4.00" are the same.
"""

from __future__ import annotations

import math
import numbers
import re
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unrolled.config import DataConfig
from unrolled.data.examples.labelled import LABEL, Examples, load_examples
from unrolled.data.examples.labels import DECIMALS, LARGEST, number_in
from unrolled.data.reading.arrays import Growing
from unrolled.data.reading.faults import RAISED, Faults
from unrolled.data.reading.objects import kind_of
from unrolled.data.reading.rows import BadRow, Row
from unrolled.errors import excerpt

__all__ = ["load_numbers", "numbers_of", "read_number", "shown"]

NOT_A_NUMBER = "not a number"
THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?")  # 1,234.5
BOTH = re.compile(r"[+-]?[0-9]{1,3}(\.[0-9]{3})+,[0-9]+")  # 1.234,5
MISSING = ("nan", "na", "n/a", "inf", "infinity", "null", "none", "-")


def load_numbers(data: object, config: DataConfig, faults: Faults = RAISED) -> Examples:
    """Read all texts of `data` with their numbers; see `load_examples` for the arguments.

    Raises:
        DataError: as `load_examples`; a label that is not a finite number is a bad row.
    """
    read = partial(read_number, decimal=config.decimal)
    return load_examples(data, config, task="regress", read_label=read, faults=faults)


def numbers_of(examples: Examples) -> NDArray[np.float64]:
    """Return the number of each of N texts, (N,)."""
    numbers = Growing(np.float64)
    for label in examples.labels():
        numbers.append(float(label))
    return numbers.array()


def read_number(row: Row, *, decimal: str) -> str | BadRow:
    """Return the number of a row as text, or the row as a bad row; `decimal` stands before its decimals."""
    value = row.values[LABEL]
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return _within(row, value)
    if isinstance(value, Decimal):
        value = str(value).replace(DECIMALS[0], decimal)
    if value is None or (isinstance(value, str) and not value.strip()):
        return row.bad("empty label", "the label is empty, and a number is expected", LABEL)
    text = value.strip() if isinstance(value, str) else None
    number = number_in(text, decimal) if text else None
    if number is None:
        got = kind_of(value) if text is None else f'"{excerpt(text, 40)}"{_hint(text, decimal)}'
        return row.bad(NOT_A_NUMBER, f"a number is expected, as 4, -0{decimal}5 or 1e3; got {got}", LABEL)
    return _within(row, float(number))


def _within(row: Row, value: Any) -> str | BadRow:
    try:
        number = float(value)
    except OverflowError:  # of a whole number
        number = math.inf
    if math.isnan(number):
        return row.bad("missing number", "the label is NaN, a missing number", LABEL)
    if abs(number) > LARGEST:
        return row.bad("number out of range", "the label is beyond 1e100, which is taken for a mistake", LABEL)
    return shown(number)


def shown(number: float) -> str:
    """Return the shortest text of a number that reads back to it: 4, 0.5, 1e+30."""
    return repr(number + 0.0).removesuffix(".0")  # + 0.0: -0.0 is 0


def _hint(text: str, decimal: str) -> str:
    """Return the remedy for a text that is nearly a number, after a semicolon; else a note on classes.

    Args:
        text: text that is not a number.
        decimal: the character before decimals.
    """
    plain = text.replace("\u2212", "-")
    if number_in(plain, decimal):
        return f'; write the sign as "-": {plain}'
    whole = plain.replace(".", "")
    if decimal != DECIMALS[0] and whole != plain and number_in(whole, decimal):
        other = "" if decimal in plain else f", or remove --decimal {decimal} if it separates decimals"
        return f"; write {whole} if the point separates thousands{other}"
    ways = []
    if number_in(plain, DECIMALS[1]):
        ways.append("add --decimal , if the comma separates decimals")
    elif BOTH.fullmatch(plain):
        ways.append(f"write {whole.replace(',', '.')} if the comma separates decimals")
    if THOUSANDS.fullmatch(plain):
        plain = plain.replace(",", "")
        ways.append(f"write {plain} if it separates thousands" if ways else f"write {plain}")
    if ways:
        return f"; {', or '.join(ways)}"
    if plain.lower().lstrip("+-") in MISSING:
        return "; only finite numbers can be learned"
    return "; labels that are classes are for --task classify"
