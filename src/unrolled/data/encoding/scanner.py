"""The words of ASCII texts by a compiled scanner (csrc/words.cc), of all others by the `tokenizers` library.

The library is the definition: a scanner gives the same ids, and counts the same words (tests/data/encoding/
test_scanner.py). It takes a tenth of the time, since it needs no offsets, no Unicode and no general regular
expression. Without compiled code the library encodes all texts.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Encoded", "Scanner", "counted", "joined", "scanner"]

AT_ONCE = 8_192  # texts counted together

Integers = NDArray[np.integer[Any]]
Encoded = tuple[Integers, Integers]
"""The ids of texts, one text after the other, and the number of ids of each."""
Encode = Callable[[Sequence[str]], Sequence[Sequence[int]]]

_words: Any = (
    importlib.import_module("unrolled._words")
    if os.environ.get("UNROLLED_ISA") != "none" and importlib.util.find_spec("unrolled._words")
    else None
)


class Scanner:
    """Texts to the ids of their words.

    Args:
        tokens: the vocabulary, by id.
        lowercase: whether upper case is folded.
        unknown: the id of all other words, and of a text without a word.
    """

    def __init__(self, tokens: Sequence[str], *, lowercase: bool, unknown: int) -> None:
        self.compiled = _words.Scanner(list(tokens), lowercase)
        self.unknown = unknown

    def encode(self, texts: Sequence[str], other: Encode) -> Encoded:
        """Return the ids of texts.

        Args:
            texts: N texts.
            other: returns the ids of those that are not ASCII.
        """
        scanned = self.compiled.encode(list(texts), self.unknown)
        ids, lengths = (np.frombuffer(numbers, np.int32) for numbers in scanned)
        others = np.flatnonzero(lengths < 0).tolist()
        if not others:
            return ids, lengths
        encoded = other([texts[i] for i in others])
        lengths = lengths.copy()
        starts = np.cumsum(lengths.clip(min=0))[others]  # of the others among the scanned ids
        lengths[others] = [len(each) for each in encoded]
        inserted = np.repeat(starts, lengths[others])
        return np.insert(ids, inserted, joined(encoded)[0]), lengths


def scanner(tokens: Sequence[str], *, lowercase: bool, unknown: int) -> Scanner | None:
    """Return the scanner of a vocabulary, see `Scanner`; None where it was not compiled."""
    return None if _words is None else Scanner(tokens, lowercase=lowercase, unknown=unknown)


def joined(encoded: Sequence[Sequence[int]]) -> Encoded:
    """Return ids in arrays, one text after the other."""
    lengths = np.fromiter(map(len, encoded), np.int32, len(encoded))
    ids = np.fromiter((i for each in encoded for i in each), np.int32, int(lengths.sum()))
    return ids, lengths


def counted(
    texts: Iterable[str], *, lowercase: bool, words_of: Callable[[str], Iterable[str]]
) -> dict[str, int] | None:
    """Return the number of occurrences of each word; None where the scanner was not compiled.

    Args:
        texts: the texts.
        lowercase: whether upper case is folded.
        words_of: returns the words of a text that is not ASCII.
    """
    if _words is None:
        return None
    scanned, others = _words.Counter(lowercase), Counter[str]()
    texts = iter(texts)
    while batch := list(islice(texts, AT_ONCE)):
        for text in scanned.add(batch):
            others.update(words_of(text))
    counts: dict[str, int] = scanned.counts()
    for word, count in others.items():
        counts[word] = counts.get(word, 0) + count
    return counts
