"""The budget of one training: a time, or a number of updates, tokens or operations.

A time becomes a number of updates once for each model, by a measurement before the search; from there everything is a
function of that number. Tokens and operations become updates by their mean number in an update.
"""

from __future__ import annotations

import math
import re
from typing import Literal, NamedTuple

from unrolled.config import seconds
from unrolled.errors import ConfigError, excerpt

__all__ = ["Budget", "parse", "spaced"]

Unit = Literal["seconds", "updates", "tokens", "operations"]
UNITS: tuple[Unit, ...] = ("updates", "tokens", "operations")
FACTORS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


class Budget(NamedTuple):
    """The budget of one training, in its unit."""

    amount: float
    unit: Unit

    def updates(self, *, tokens: float, operations: float) -> int:
        """Return the number of updates of a budget that is no time, at least 1.

        Args:
            tokens, operations: mean number of tokens of an update, and of its operations.
        """
        each = {"updates": 1.0, "tokens": tokens, "operations": operations}[self.unit]
        return max(1, math.floor(self.amount / each))


def parse(text: str) -> Budget:
    """Return the budget of a text: 90s, 5m, 1.5h; 800updates, 2Mtokens, 1e12operations (with k, M, G or T).

    Raises:
        ConfigError: the text is none of these.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?(?:e\d+)?)\s*([kMGT]?)\s*(updates|tokens|operations)", text.strip())
    if match:
        amount = float(match[1]) * FACTORS[match[2]]
        unit = next(unit for unit in UNITS if unit == match[3])
        if amount >= 1 and math.isfinite(amount):
            return Budget(amount, unit)
    else:
        try:
            return Budget(seconds(text.strip()), "seconds")
        except ValueError:
            pass
    raise ConfigError(
        "budget should be a time as 90s, 5m or 1.5h, or a number as 800updates, 2Mtokens or 1e12operations: got "
        f"{excerpt(repr(text))}"
    )


def spaced(text: str) -> str:
    """Return the text of a budget with a space before its unit: 800 updates, 2 Mtokens; a time as it is."""
    return re.sub(r"\s*([kMGT]?)(updates|tokens|operations)$", r" \1\2", text.strip())
