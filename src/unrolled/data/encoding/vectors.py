"""Pretrained word vectors as initial embeddings: GloVe, word2vec and fastText in their text formats.

A line is a word and its D values, between spaces or tabs. Before the first there may be a line with the number of words
and D. The file is read once, line by line, and only the words of the vocabulary are stored.

The vector of a token is that of the equal word; where there is none, that of the first word that differs in case only
(vocabularies are often in lower case, and some vectors are not). Of equal words the first counts, the most frequent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NamedTuple, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unrolled.data.encoding.tokenizers import Tokenizer
from unrolled.data.reading.files import UNREADABLE, UTF8, encoding_of, open_bytes, transcoded, unreadable
from unrolled.errors import DataError, excerpt
from unrolled.strings import normalized

__all__ = ["Vectors", "read_size", "read_vectors"]

LONGEST_LINE = 2_000_000  # bytes
LARGEST_SIZE = 65_536  # D, as of the setting embedding_size
LARGEST = 10_000  # of a value; beyond, no layer above learns
FORMAT = "the format is a line for each word: the word and its values, between spaces (GloVe, word2vec or fastText)"


@dataclass(frozen=True)
class Vectors:
    """Vectors for the tokens of a vocabulary.

    Args:
        values: (V, D), 0 where there is no vector.
        found: (V,) bool, whether a token has a vector.
        by_case: number of tokens that took the vector of their word in another case.
        words: number of tokens that are words.
    """

    values: Tensor
    found: Tensor
    by_case: int
    words: int

    def fill_(self, embedding: Tensor) -> None:
        """Write the vectors into embeddings (V, D); scale all others so that their standard deviation is the same.

        embedding: with random values from N(0, std²), and 0 for padding.
        """
        with torch.no_grad():
            others = embedding[~self.found]
            scale = self.values[self.found].std(correction=0) / others[1:].std(correction=0)  # without padding
            embedding[~self.found] = others * scale
            embedding[self.found] = self.values[self.found].to(embedding.device)

    def coverage(self, *, frozen: bool = False) -> str:
        """Return a sentence on the number of words with a vector; `frozen`: whether no embedding is trained."""
        number = int(self.found.sum())
        by_case = f", {self.by_case:,} of them from a word in another case" if self.by_case else ""
        rest = "; the others are random, with the same standard deviation" if number < self.words else ""
        if rest and frozen:
            rest += ", and stay so: all embeddings are frozen (without --freeze-vectors, all are trained)"
        return f"vectors for {number:,} of {self.words:,} words ({100 * number / self.words:.1f} %){by_case}{rest}"


class _Head(NamedTuple):
    """The first line: the size D of a vector, and the number of words if the line says it."""

    size: int
    words: int | None


def read_size(path: Path) -> int:
    """Return the size D of the vectors in a file, from its first line.

    Raises:
        DataError: as `read_vectors`.
    """
    with open_bytes(path, str(path)) as handle:
        return _head(*next(_lines(handle, str(path)), (b"", 1)), str(path)).size


def read_vectors(path: Path, tokenizer: Tokenizer) -> Vectors:
    """Read the vectors of a vocabulary's words.

    Args:
        path: path of the file, which may be compressed (.gz, .xz, .bz2).
        tokenizer: a tokenizer with words in its vocabulary.

    Raises:
        DataError: the file cannot be read, is binary or cut off, a line has another number of values or one that is no
            number, or no word of the vocabulary is in the file.
    """
    file = str(path)
    with open_bytes(path, file) as handle:
        lines = _lines(handle, file)
        first = next(lines, (b"", 1))
        head = _head(*first, file)
        found = _Found(tokenizer, head.size)
        read, number = 0, 1
        for line, number in lines if head.words is not None else chain([first], lines):
            found.add(*_split(line, head.size, number, file))
            read += 1
    if head.words is not None and read < head.words:
        problem = f"the file ends after {read:,} of the {head.words:,} words that its first line announces"
        raise DataError(problem, file=file, line=number, fix="fetch it again")
    if not found.rank.any():
        shown = ", ".join(f'"{excerpt(word, 20)}"' for word in list(found.words.values())[:3])
        raise DataError(
            f"has a vector for none of the {len(found.words):,} words of the vocabulary ({shown}, …)",
            file=file,
            fix="give vectors of the language of the texts",
        )
    return found.vectors()


class _Found:
    """The vectors of a vocabulary's words that have been found so far.

    Args:
        tokenizer: the tokenizer, whose vocabulary needs vectors.
        size: size D of the vectors.
    """

    def __init__(self, tokenizer: Tokenizer, size: int) -> None:
        self.words = tokenizer.words()
        self.values = np.zeros((tokenizer.vocabulary_size, size), np.float32)
        self.rank = np.zeros(tokenizer.vocabulary_size, np.int8)  # 0: no vector, 1: that of another case, 2: its own
        self._equal = {word.encode(): token for token, word in self.words.items()}
        self._by_case: dict[str, list[int]] = defaultdict(list)
        for token, word in self.words.items():
            self._by_case[word.lower()].append(token)

    def add(self, word: bytes, values: Callable[[], NDArray[np.float32]]) -> None:
        """Add a line: its word, and the function that reads its values, which is called where they are needed."""
        token = self._equal.get(word)
        if token is not None and self.rank[token] < 2:
            self.values[token], self.rank[token] = values(), 2
        for other in self._by_case.get(_lower(word), ()):
            if not self.rank[other]:
                self.values[other], self.rank[other] = values(), 1

    def vectors(self) -> Vectors:
        """Return all that has been found."""
        has, by_case = self.rank > 0, int((self.rank == 1).sum())
        return Vectors(torch.from_numpy(self.values), torch.from_numpy(has), by_case, len(self.words))


def _lines(handle: BinaryIO, file: str) -> Iterator[tuple[bytes, int]]:
    """Yield each line that is not blank, without white space at its ends, and its number from 1."""
    number = 0
    try:
        first = handle.readline(LONGEST_LINE)
        encoding = encoding_of(first, file)
        if encoding != UTF8:
            handle, first = transcoded(first, handle, encoding), b""
        line = first.removeprefix(UTF8.mark) or handle.readline(LONGEST_LINE)
        while line:
            number += 1
            if len(line) == LONGEST_LINE or b"\0" in line:
                _refuse("this is not a line of text, but binary data", number, file)
            if line := line.strip(b" \t\r\n"):
                yield line, number
            line = handle.readline(LONGEST_LINE)
    except UNREADABLE as error:
        raise unreadable(error, file, number) from None


def _head(line: bytes, number: int, file: str) -> _Head:
    """Return the size of the vectors from the first line, which may be that of the first word."""
    fields = line.split()
    if len(fields) == 2 and all(field.isdigit() and len(field) < 20 for field in fields):
        return _checked(_Head(int(fields[1]), int(fields[0])), line, number, file)
    head = _checked(_Head(len(fields) - 1, None), line, number, file)
    _values(fields[1:], head.size, number, file)
    return head


def _checked(head: _Head, line: bytes, number: int, file: str) -> _Head:
    if not 1 <= head.size <= LARGEST_SIZE:
        _refuse("the first line has no values" if line else "the file is empty", number, file)
    return head


def _split(line: bytes, size: int, number: int, file: str) -> tuple[bytes, Callable[[], NDArray[np.float32]]]:
    """Return the word of a line, and a function that reads its values. A word may hold spaces, or be missing: "".

    Lines of most words are not needed, so only the number of separators is checked at once.
    """
    word, *rest = line.split(maxsplit=1)
    if line.count(b" ") + line.count(b"\t") == size and rest:
        return word, lambda: _values(rest[0].split(), size, number, file)
    fields = line.split()
    words, texts = fields[: max(0, len(fields) - size)], fields[max(0, len(fields) - size) :]
    too_few = len(texts) < size or not (words or all(map(_is_number, texts)))
    if too_few or (len(words) > 1 and all(map(_is_number, words[1:]))):
        texts = fields[1:]  # which is refused
    values = _values(texts, size, number, file)
    return b" ".join(words), lambda: values


def _values(texts: list[bytes], size: int, number: int, file: str) -> NDArray[np.float32]:
    """Return D values as numbers."""
    if len(texts) != size:
        _refuse(f"the line has {len(texts):,} values, and the vectors have {size:,}", number, file)
    for text in texts:
        if not _is_number(text):
            wrong = excerpt(text.decode("utf-8", "replace"), 30)
            _refuse(f'the value "{wrong}" is no number from −{LARGEST:,} to {LARGEST:,}', number, file)
    return np.array(list(map(float, texts)), np.float32)


def _is_number(text: bytes) -> bool:
    try:
        return abs(float(text)) <= LARGEST  # NaN is not
    except ValueError:
        return False


def _lower(word: bytes) -> str:
    """Return a word in lower case, composed as in a vocabulary of words."""
    text = word.decode("utf-8", "replace")
    return text.lower() if text.isascii() else normalized(text, "nfc").lower()


def _refuse(problem: str, number: int, file: str) -> NoReturn:
    fix = f"check that the right file was named; {FORMAT}"
    raise DataError(problem, file=file, line=number, fix=fix)
