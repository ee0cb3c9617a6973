"""The rule of each kind of tokeniser that splits a text, as a tokenizer of the `tokenizers` library.

The library's byte-level vocabularies write a byte as a character: the byte itself if it is printable.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, Literal

# Otherwise the library starts a thread pool that is dead in a forked worker, and warns about it on stderr.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import tokenizers as library
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers

from unrolled.data.special import SPECIAL, UNK

__all__ = ["BYTES", "BYTE_OF", "FORMS", "Kind", "Normalize", "byte_pairs", "bytes_of", "is_whole", "marked", "pipeline"]

Kind = Literal["character", "byte", "word", "bpe"]
Normalize = Literal["none", "nfc", "nfkc"]
FORMS: dict[Normalize, Any] = {"nfc": normalizers.NFC, "nfkc": normalizers.NFKC}

WORDS = r"""
\p{Han}|\p{Hiragana}|\p{Katakana}
|[\p{L}\p{M}\p{N}]+?(?=[nN]'[tT](?!\p{L}))|[nN]'[tT](?!\p{L})
|'(?:[sSdDmMtT]|[rR][eE]|[vV][eE]|[lL][lL])(?!\p{L})
|[\p{L}\p{M}\p{N}]+
|\S
""".replace("\n", "")

PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
MOVED = [byte for byte in range(256) if byte not in PRINTABLE]
BYTES = [chr(byte) if byte in PRINTABLE else chr(256 + MOVED.index(byte)) for byte in range(256)]
BYTE_OF = {character: byte for byte, character in enumerate(BYTES)}


def pipeline(
    kind: Kind,
    tokens: Sequence[str],
    merges: Sequence[tuple[str, str]] = (),
    *,
    lowercase: bool = False,
    normalize: Normalize = "none",
) -> library.Tokenizer:
    """Return the library's tokenizer of a vocabulary.

    Args:
        kind: unit of a token.
        tokens: the vocabulary, by id.
        merges: merges of bpe, in order.
        lowercase: whether upper case is folded (kind word).
        normalize: Unicode normal form of every text before it is split.
    """
    vocabulary = {token: i for i, token in enumerate(tokens)}
    if kind in ("byte", "bpe"):
        found = library.Tokenizer(models.BPE(vocabulary, list(merges)))
    else:
        found = library.Tokenizer(models.WordLevel(vocabulary, unk_token=SPECIAL[UNK]))
    form = [] if normalize == "none" else [FORMS[normalize]()]
    if form:
        found.normalizer = form[0]
    if kind == "word":
        quotes = normalizers.Replace("’", "'")
        folded = [normalizers.Lowercase()] if lowercase else []
        found.normalizer = normalizers.Sequence([*form, normalizers.NFC(), quotes, *folded])
        found.pre_tokenizer = pre_tokenizers.Split(Regex(WORDS), "removed", invert=True)
    elif kind == "character":
        found.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
        found.decoder = decoders.Fuse()
    else:
        found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=kind == "bpe")
        found.decoder = decoders.ByteLevel()
    return found


def marked(words: Iterable[str]) -> list[str]:
    """Return words with a space before each, as `encode_words` encodes them and its vocabulary is learned."""
    return [f" {word}" for word in words]


def is_whole(token: str) -> bool:
    """Return whether a token of the vocabulary is a whole word."""
    return len(token) > 1 and token.startswith(" ")


def byte_pairs(merges: Sequence[tuple[str, str]]) -> list[str]:
    """Return the vocabulary of byte pairs by id: special tokens, the bytes in order, each merged subword once."""
    return list(dict.fromkeys((*SPECIAL, *BYTES, *(left + right for left, right in merges))))


def bytes_of(tokens: Iterable[str]) -> bytes:
    """Return the bytes that tokens of kind byte or bpe stand for."""
    return bytes(BYTE_OF[character] for token in tokens for character in token)
