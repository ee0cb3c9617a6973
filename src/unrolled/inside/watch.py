"""Hooks that record the arguments and results of a model's modules while it runs as usual.

The model computes nothing different and nothing twice. Values inside a layer are computed from the records afterwards.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from torch import nn

__all__ = ["Call", "Notes", "watching"]


class Call(NamedTuple):
    """One call of a module.

    Args:
        arguments: its arguments, by their names in `forward`.
        returned: its result.
    """

    arguments: dict[str, Any]
    returned: Any


class Notes:
    """Record of the calls of every watched module, in order, for each phase.

    phase: prefix of the current phase, one of `kinds.PHASES`; the caller of the model sets it.
    """

    def __init__(self) -> None:
        self.phase = ""
        self._calls: dict[tuple[str, nn.Module], list[Call]] = {}

    def add(self, module: nn.Module, call: Call) -> None:
        """Add a call in the current phase."""
        self._calls.setdefault((self.phase, module), []).append(call)

    def calls(self, phase: str, module: nn.Module) -> list[Call]:
        """Return the calls of a module in a phase."""
        return self._calls.get((phase, module), [])

    def __iter__(self) -> Iterator[tuple[str, nn.Module, list[Call]]]:
        """Yield phase, module and its calls, in the order of the first calls."""
        for (phase, module), calls in self._calls.items():
            yield phase, module, calls


@contextmanager
def watching(modules: Iterable[nn.Module]) -> Iterator[Notes]:
    """Record every call of the modules until the block ends."""
    notes = Notes()

    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], returned: Any) -> None:
        bound = inspect.signature(module.forward).bind(*args, **kwargs)
        bound.apply_defaults()
        notes.add(module, Call(bound.arguments, returned))

    handles = [module.register_forward_hook(hook, with_kwargs=True) for module in modules]
    try:
        yield notes
    finally:
        for handle in handles:
            handle.remove()
