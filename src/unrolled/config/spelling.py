"""The spelling of settings in messages: keyword arguments in Python, flags on the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["flag", "spelled", "spelled_as_flags"]

_flags: ContextVar[bool] = ContextVar("flags", default=False)


def flag(name: str) -> str:
    """Return the flag of a setting, as in `--hidden-size`."""
    return f"--{name.replace('_', '-')}"


def spelled(name: str, value: str | None = None) -> str:
    """Return a setting as its user writes it: `cell="lstm"`, on the command line `--cell lstm`."""
    if _flags.get():
        return flag(name) if value is None else f"{flag(name)} {value}"
    return name if value is None else f'{name}="{value}"'


@contextmanager
def spelled_as_flags() -> Iterator[None]:
    """Spell settings as flags in the block."""
    token = _flags.set(True)
    try:
        yield
    finally:
        _flags.reset(token)
