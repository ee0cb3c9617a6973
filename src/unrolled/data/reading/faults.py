"""Faults for which a training refuses data: raised at once, or collected for a report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from unrolled.errors import DataError

__all__ = ["RAISED", "Faults"]

R = TypeVar("R")


class Faults:
    """Faults of data in the order in which a training meets them.

    Readers pass each fault to `add`. A training raises the first one; a report collects all of them, and reading goes
    on with what can be used.

    Args:
        collect: whether faults are collected.
    """

    def __init__(self, *, collect: bool = False) -> None:
        self.collect = collect
        self.found: list[DataError] = []

    def add(self, fault: DataError) -> None:
        """Raise the fault, or collect it."""
        if not self.collect:
            raise fault
        self.found.append(fault)

    def until_fault(self, rows: Iterable[R]) -> Iterator[R]:
        """Yield rows up to a fault of the file that ends reading, which is raised or collected."""
        try:
            yield from rows
        except DataError as fault:
            if not self.collect:
                raise
            self.found.append(fault)


RAISED = Faults()
"""Faults that are raised."""
