"""Checks and notes of strings that are shared by data and runs."""

from __future__ import annotations

__all__ = ["NOT_UNICODE", "has_surrogate", "one_line", "truncation"]

NOT_UNICODE = "holds an unpaired surrogate, which is not Unicode"


def has_surrogate(text: str) -> bool:
    """Return whether a string holds an unpaired surrogate, which no encoding can write."""
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


def one_line(text: str) -> str:
    """Return the text with its tabs and line ends escaped, to be one column of a line; the rest is unchanged."""
    return text.translate(_ENDS)


_ENDS = {ord(character): escape for character, escape in (("\t", r"\t"), ("\n", r"\n"), ("\r", r"\r"))}


def truncation(total: int, max_length: int, unit: str = "tokens") -> str:
    """Return a note on a sequence of `total` tokens of which the first `max_length` are read; "" if all are."""
    return f"truncated after the first {max_length:,} of {total:,} {unit}" if total > max_length else ""
