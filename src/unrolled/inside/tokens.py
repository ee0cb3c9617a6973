"""A text as the tokens that a model reads, with the characters that each stands for; what is cut is said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from unrolled.data.encoding.tokenizers import Tokenizer
from unrolled.errors import DataError, excerpt
from unrolled.strings import truncation

__all__ = ["Tokens", "read", "read_words", "truncate", "written"]


class Tokens(NamedTuple):
    """A text, its ids, and what each says with the characters [start, end) that it stands for."""

    text: str
    ids: list[int]
    tokens: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]


def read(tokenizer: Tokenizer, given: object) -> Tokens:
    """Return a text as tokens; of a list of tokens, each by itself, the text has them with spaces between.

    Raises:
        DataError: it is neither a string nor a list of strings.
    """
    if isinstance(given, str):
        (ids,) = tokenizer.encode([given]) if given else ([],)
        return _shown(tokenizer, given, ids, tokenizer.spans(given) if given else [])
    if not isinstance(given, list | tuple) or not all(isinstance(piece, str) for piece in given):
        raise DataError(f"a text, or a list of its tokens, is expected: got {excerpt(repr(given))}", fix="give strings")
    ids = [i for piece in tokenizer.encode(list(given)) for i in piece]
    spans = [span for start, piece in _places(given) for span in _moved(tokenizer.spans(piece), start)]
    return _shown(tokenizer, " ".join(given), ids, spans)


def read_words(tokenizer: Tokenizer, words: Sequence[str]) -> tuple[Tokens, list[int]]:
    """Return a sentence as its words' pieces, see `Tokenizer.encode_words`; and the step at which each word ends."""
    every = tokenizer.encode_words(words)
    spans: list[tuple[int, int]] = []
    for ids, (start, word) in zip(every, _places(words), strict=True):
        marked = [(max(a - 1, 0), max(b - 1, 0)) for a, b in tokenizer.spans(f" {word}")]
        whole = [(0, len(word))] * (len(ids) - len(marked))  # the word's own token, behind its pieces
        spans += _moved([*marked, *whole], start)
    ends = [sum(map(len, every[: number + 1])) - 1 for number in range(len(words))]
    return _shown(tokenizer, " ".join(words), [i for ids in every for i in ids], spans), ends


def written(tokenizer: Tokenizer, ids: Sequence[int]) -> Tokens:
    """Return ids that a model has written as tokens: the text is what they stand for."""
    say, text, spans = tokenizer.reader(), "", []
    for i in ids:
        piece = say(i)
        spans.append((len(text) + len(piece) - len(piece.lstrip(" ") or piece), len(text) + len(piece)))
        text += piece
    return Tokens(text, list(ids), tuple(tokenizer.tokens(ids)), tuple(spans))


def truncate(tokens: Tokens, max_length: int, what: str = "tokens") -> tuple[Tokens, str]:
    """Return the first `max_length` tokens, and what was left out in a sentence: "" where nothing was."""
    first = Tokens(tokens.text, tokens.ids[:max_length], tokens.tokens[:max_length], tokens.spans[:max_length])
    return first, truncation(len(tokens.ids), max_length, what)


def _shown(tokenizer: Tokenizer, text: str, ids: list[int], spans: Sequence[tuple[int, int]]) -> Tokens:
    """What each id says is what stands in the text, even where the vocabulary has it in lower case, or not at all."""
    said = tokenizer.tokens(ids)
    whole = tokenizer.kind != "byte"
    tokens = tuple(text[a:b] if whole and a < b else name for name, (a, b) in zip(said, spans, strict=True))
    return Tokens(text, ids, tokens, tuple(spans))


def _places(pieces: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Each piece, with where it begins when all stand with one space between them."""
    start = 0
    for piece in pieces:
        yield start, piece
        start += len(piece) + 1


def _moved(spans: Iterable[tuple[int, int]], by: int) -> list[tuple[int, int]]:
    return [(start + by, end + by) for start, end in spans]
