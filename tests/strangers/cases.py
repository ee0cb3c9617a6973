"""Cases that the product met at strangers' hands: each is a function that passes or raises AssertionError.

A case takes an empty folder and asserts the right outcome. The first line of its
docstring is the line that `run.py` prints. Kinds: A silent wrong answers, B `unrolled.nn` next to torch.nn, E answers
and figures that users expect, F hostile or unlucky circumstances.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

__all__ = ["CASES", "FILES", "Case", "case"]

FILES = Path(__file__).parent / "files"
F = TypeVar("F", bound=Callable[[Path], None])


class Case(NamedTuple):
    """A case: its kind (a letter), its name, its description, and the function."""

    kind: str
    name: str
    description: str
    run: Callable[[Path], None]


CASES: list[Case] = []


def case(kind: str) -> Callable[[F], F]:
    """Register a function (folder) as a case of this kind."""

    def register(function: F) -> F:
        description = (function.__doc__ or "").strip().splitlines()[0]
        CASES.append(Case(kind, f"{function.__module__.rsplit('.', 1)[-1]}.{function.__name__}", description, function))
        return function

    return register
