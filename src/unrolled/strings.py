"""Checks and notes of strings that are shared by data and runs."""

from __future__ import annotations

__all__ = ["NOT_UNICODE", "has_surrogate", "truncation"]

NOT_UNICODE = "holds an unpaired surrogate, which is not Unicode"


def has_surrogate(text: str) -> bool:
    """Return whether a string holds an unpaired surrogate, which no encoding can write."""
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


def truncation(total: int, max_length: int, unit: str = "tokens") -> str:
    """Return a note on a sequence of `total` tokens of which the first `max_length` are read; "" if all are."""
    return f"truncated after the first {max_length:,} of {total:,} {unit}" if total > max_length else ""
