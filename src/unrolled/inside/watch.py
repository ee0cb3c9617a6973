"""Watching: hooks that note what went into a part of a model and what came out, while it answers as it always does.

Nothing is changed and nothing is computed a second time: what is inside a layer is made from the notes afterwards.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from torch import nn

__all__ = ["Call", "Notes", "watching"]


class Call(NamedTuple):
    """One call of a part: its arguments by name, as its forward has them, and what it returned."""

    given: dict[str, Any]
    returned: Any


class Notes:
    """The calls of every watched part, in order, phase by phase.

    A phase, see `kinds.PHASES`, is what a part was called for; who calls the model sets it.
    """

    def __init__(self) -> None:
        self.phase = ""
        self._calls: dict[tuple[str, nn.Module], list[Call]] = {}

    def note(self, part: nn.Module, call: Call) -> None:
        """Add a call."""
        self._calls.setdefault((self.phase, part), []).append(call)

    def of(self, phase: str, part: nn.Module) -> list[Call]:
        """Return the calls of a part in a phase."""
        return self._calls.get((phase, part), [])

    def __iter__(self) -> Iterator[tuple[str, nn.Module, list[Call]]]:
        """Yield phase, part and its calls, in the order in which the parts were first called."""
        for (phase, part), calls in self._calls.items():
            yield phase, part, calls


@contextmanager
def watching(parts: Iterable[nn.Module]) -> Iterator[Notes]:
    """Note every call of the parts until the block ends."""
    notes = Notes()

    def hook(part: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], returned: Any) -> None:
        given = inspect.signature(part.forward).bind(*args, **kwargs)
        given.apply_defaults()
        notes.note(part, Call(given.arguments, returned))

    handles = [part.register_forward_hook(hook, with_kwargs=True) for part in parts]
    try:
        yield notes
    finally:
        for handle in handles:
            handle.remove()
