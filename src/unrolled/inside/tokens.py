"""Texts as tokens of a model, with the characters that each token covers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from unrolled.data.encoding.tokenizers import UNK, Tokenizer
from unrolled.errors import DataError, excerpt
from unrolled.strings import truncation

__all__ = ["Tokens", "read", "read_words", "truncate", "unknown", "written"]

NAMED = 3  # unknown tokens in a sentence


class Tokens(NamedTuple):
    """Tokenised text: ids, readable tokens, and the characters [start, end) of the text that each token covers."""

    text: str
    ids: list[int]
    tokens: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]


def read(tokenizer: Tokenizer, text: object) -> Tokens:
    """Tokenise a text, or a list of tokens one by one; the text of a list has a space between them.

    Raises:
        DataError: it is neither a string nor a list of strings.
    """
    if isinstance(text, str):
        (ids,) = tokenizer.encode([text]) if text else ([],)
        return _tokens(tokenizer, text, ids, tokenizer.spans(text) if text else [])
    if not isinstance(text, list | tuple) or not all(isinstance(piece, str) for piece in text):
        raise DataError(f"expected a text or a list of its tokens: got {excerpt(repr(text))}", fix="pass strings")
    ids = [i for piece in tokenizer.encode(list(text)) for i in piece]
    spans = [span for start, piece in _starts(text) for span in _shifted(tokenizer.spans(piece), start)]
    return _tokens(tokenizer, " ".join(text), ids, spans)


def read_words(tokenizer: Tokenizer, words: Sequence[str]) -> tuple[Tokens, list[int]]:
    """Return a sentence as the subwords of its words (`Tokenizer.encode_words`), and the last step of each word."""
    every = tokenizer.encode_words(words)
    spans: list[tuple[int, int]] = []
    for ids, (start, word) in zip(every, _starts(words), strict=True):
        marked = [(max(a - 1, 0), max(b - 1, 0)) for a, b in tokenizer.spans(f" {word}")]
        whole = [(0, len(word))] * (len(ids) - len(marked))  # the word's own token, after its subwords
        spans += _shifted([*marked, *whole], start)
    ends = [sum(map(len, every[: number + 1])) - 1 for number in range(len(words))]
    return _tokens(tokenizer, " ".join(words), [i for ids in every for i in ids], spans), ends


def written(tokenizer: Tokenizer, ids: Sequence[int]) -> Tokens:
    """Return the ids that a model has generated as tokens of the text that they decode to."""
    decode, text, spans = tokenizer.reader(), "", []
    for i in ids:
        piece = decode(i)
        spans.append((len(text) + len(piece) - len(piece.lstrip(" ") or piece), len(text) + len(piece)))
        text += piece
    return Tokens(text, list(ids), tuple(tokenizer.tokens(ids)), tuple(spans))


def truncate(tokens: Tokens, max_length: int, noun: str = "tokens") -> tuple[Tokens, str]:
    """Return the first `max_length` tokens, and a sentence on those left out, "" for none.

    Args:
        noun: noun for the tokens, plural.
    """
    first = Tokens(tokens.text, tokens.ids[:max_length], tokens.tokens[:max_length], tokens.spans[:max_length])
    return first, truncation(len(tokens.ids), max_length, noun)


def unknown(tokens: Tokens) -> str:
    """Return a sentence on the tokens that are not in the vocabulary, "" for none."""
    missing = [token for i, token in zip(tokens.ids, tokens.tokens, strict=True) if i == UNK]
    if not missing:
        return ""
    different = [f"“{excerpt(token, 30)}”" for token in dict.fromkeys(missing)]
    named = ", ".join(different[:NAMED]) + " and others" * (len(different) > NAMED)
    are = "is" if len(missing) == 1 else "are"
    return f"{len(missing):,} of {len(tokens.ids):,} tokens {are} unknown to the network: {named}"


def _tokens(tokenizer: Tokenizer, text: str, ids: list[int], spans: Sequence[tuple[int, int]]) -> Tokens:
    """Return Tokens whose readable tokens are cut from the text, so that unknown and lower-cased words are legible."""
    names = tokenizer.tokens(ids)
    whole = tokenizer.kind != "byte"
    tokens = tuple(text[a:b] if whole and a < b else name for name, (a, b) in zip(names, spans, strict=True))
    return Tokens(text, ids, tokens, tuple(spans))


def _starts(pieces: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield each piece with its start in the text in which a space separates them."""
    start = 0
    for piece in pieces:
        yield start, piece
        start += len(piece) + 1


def _shifted(spans: Iterable[tuple[int, int]], by: int) -> list[tuple[int, int]]:
    return [(start + by, end + by) for start, end in spans]
