"""Checks, forms and notes of strings that are shared by data and runs."""

from __future__ import annotations

import re
import unicodedata

__all__ = [
    "NOT_UNICODE",
    "comparable",
    "counted",
    "has_surrogate",
    "has_visible",
    "normalized",
    "one_line",
    "truncation",
    "words_of",
]

NOT_UNICODE = "holds an unpaired surrogate, which is not Unicode"
BETWEEN_WORDS = re.compile(r"[ \t\r\n]+")
BLANK_LETTERS = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"  # blank, though no space or format character
VARIATIONS = re.compile(r"[\u180b-\u180f\ufe00-\ufe0f\U000e0000-\U000e0fff]")  # selectors of a glyph, tags


def counted(number: int, noun: str) -> str:
    """Return a number of things: "1 thread", "2 threads"."""
    return f"{number:,} {noun}{'s'[: number != 1]}"


def has_surrogate(text: str) -> bool:
    """Return whether a string holds an unpaired surrogate, which no encoding can write."""
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


def words_of(sentence: str) -> list[str]:
    """Return the words of a sentence, which space, tab and line end separate.

    No other Unicode space separates words: files of tagged words may have it within one (10 000).
    """
    return [word for word in BETWEEN_WORDS.split(sentence) if word]


def normalized(text: str, form: str) -> str:
    """Return a text in a Unicode normal form: "nfc", "nfkc", or "none" for the text as it is."""
    if form == "none" or text.isascii():
        return text
    return unicodedata.normalize("NFKC" if form == "nfkc" else "NFC", text)


def comparable(text: str) -> str:
    """Return a text for comparison: of one Unicode form, case and kind of space, and without invisible characters."""
    if not (text.isascii() and text.isprintable()):
        text = "".join(c for c in normalized(text, "nfkc") if c.isspace() or not _is_invisible(c))
    return " ".join(normalized(text.casefold(), "nfkc").split())


def has_visible(text: str) -> bool:
    """Return whether a text has a character that can be seen: no space, control or format character, or blank."""
    return any(not c.isspace() and not _is_invisible(c) for c in text)


def one_line(text: str) -> str:
    """Return the text with its tabs and line ends escaped, to be one column of a line; the rest is unchanged."""
    return text.translate(_ENDS)


_ENDS = {ord(character): escape for character, escape in (("\t", r"\t"), ("\n", r"\n"), ("\r", r"\r"))}


def truncation(total: int, max_length: int, unit: str = "tokens") -> str:
    """Return a note on a sequence of `total` tokens of which the first `max_length` are read; "" if all are."""
    return f"truncated after the first {max_length:,} of {total:,} {unit}" if total > max_length else ""


def _is_invisible(character: str) -> bool:
    """Return whether a character has no glyph and no width of its own, or is blank."""
    return (
        character in BLANK_LETTERS
        or VARIATIONS.match(character) is not None
        or unicodedata.category(character) in ("Cc", "Cf")
    )
