"""Spans of words that tags such as B-PER, I-PER and O stand for, as conlleval and seqeval define them.

A tag is a letter and a type, with - or _ between them; O is a word outside of all spans. Letters alone (B, I, O) tag
spans of one type without a name. The schemes:

    IOB1   I- inside; B- only where a span follows another one of its type
    IOB2   B- at the first word of each span, I- at the others (also called BIO)
    IOBES  as IOB2, with E- at the last word, and S- at the only word (also BIOES)
    BILOU  as IOBES, with L- for E-, and U- for S- (also BILUO)
    BMES   as IOBES, with M- for I- (also BMEWO, where W- stands for S-)
    IOE    I- inside, E- at the last word; of IOE1 only where a span of the same type follows

Spans are read leniently, by the rules of conlleval (Tjong Kim Sang & Buchholz 2000) as extended by seqeval's default
mode: any change of the type begins a span, and so does an inside tag after O. A malformed sequence has spans, too.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from unrolled.errors import DataError, excerpt

__all__ = ["OUTSIDE", "Scheme", "Span", "scheme_of", "spans"]

Scheme = Literal["IOB1", "IOB2", "IOE", "IOBES", "BILOU", "BMES"]
OUTSIDE = "O"
TAG = re.compile(r"([BIMELSUW])(?:[-_](.+))?", re.DOTALL)
ROLES: dict[Scheme, dict[str, str]] = {
    "IOB1": {"I": "I", "B": "B"},
    "IOB2": {"B": "B", "I": "I"},
    "IOE": {"I": "I", "E": "E"},
    "IOBES": {"B": "B", "I": "I", "E": "E", "S": "S"},
    "BILOU": {"B": "B", "I": "I", "L": "E", "U": "S"},
    "BMES": {"B": "B", "M": "I", "E": "E", "S": "S", "W": "S"},
}
"""The letters of each scheme, as those of IOBES: begin, inside, end, single."""
ENDS = {("B", "B"), ("B", "S"), ("I", "B"), ("I", "S")}
"""Letters of two adjacent words of one type between which a span ends and another begins, beside those after E or S."""


class Span(NamedTuple):
    """The words from `start` to `stop`, excluded, with their type; "" for letters without a type."""

    type: str
    start: int
    stop: int


def scheme_of(tags: Iterable[str]) -> Scheme | None:
    """Return the scheme of tags, or None where they are not tags of spans.

    IOB1 and IOB2 have the same letters. They are taken for IOB1 where a type has I- and never B-, which no span of
    IOB2 has; spans are the same in both.

    Args:
        tags: tags of a data set, in any order; repeated or not.
    """
    letters: dict[str, set[str]] = defaultdict(set)
    for tag in {*tags} - {OUTSIDE}:
        if not (match := TAG.fullmatch(tag)):
            return None
        letters[match[2] or ""].add(match[1])
    if not letters or ("" in letters and not letters[""] > {"B"}):
        return None  # a lone letter is the name of anything; B and another one are not
    used = set.union(*letters.values())
    if used <= {"B", "I"}:
        return "IOB2" if all("B" in own for own in letters.values()) else "IOB1"
    return next((scheme for scheme, roles in ROLES.items() if used <= roles.keys()), None)


def spans(tags: Iterable[str], scheme: Scheme) -> list[Span]:
    """Return the spans of one sentence, in order.

    Args:
        tags: tags of a sentence, one a word.
        scheme: scheme of the data set, from `scheme_of`.

    Raises:
        DataError: a tag is not of the scheme.
    """
    found: list[Span] = []
    start, before, of = 0, "", ""  # letter and type of the last word; "" after O
    for position, (letter, kind) in enumerate([*_parts(tags, scheme), ("", "")]):
        begins = kind != of or before in ("", "E", "S") or (before, letter) in ENDS
        if before and (begins or not letter):
            found.append(Span(of, start, position))
        if begins:
            start = position
        before, of = letter, kind
    return found


def _parts(tags: Iterable[str], scheme: Scheme) -> Iterator[tuple[str, str]]:
    """Yield the letter, in the letters of IOBES, and the type of each tag; "" and "" for O."""
    for tag in tags:
        if tag == OUTSIDE:
            yield "", ""
            continue
        match = TAG.fullmatch(tag)
        letter = ROLES[scheme].get(match[1]) if match else None
        if match is None or letter is None:
            raise DataError(
                f"tag {excerpt(tag)!r} is not of the scheme {scheme}",
                fix=f"use O and the letters {', '.join(ROLES[scheme])} with a type, as {next(iter(ROLES[scheme]))}-PER",
            )
        yield letter, match[2] or ""
