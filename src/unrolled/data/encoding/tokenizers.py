"""Text to ids and back, with the `tokenizers` library: by character, byte, word or byte pair.

- `character`  each Unicode code point; texts are restored exactly, except characters outside the vocabulary
- `byte`       the 256 bytes of UTF-8: id 5 + byte, no text has <unk>, texts are restored exactly
- `word`       runs of letters and digits, and every other character by itself. Unicode is composed (NFC), ’ is read
               as ', upper case may be folded. English contractions are split so that a negation stays one token
               (do|n't, it|'s); French elisions are split at the apostrophe (l|'|homme); Chinese and Japanese are
               split into characters. Other scripts without spaces (Thai, Khmer, …) are better served by bpe
- `bpe`        byte pairs learned from the training split, on bytes: no text has <unk>, texts are restored exactly

For single words (task tag), a vocabulary may also hold *whole words*: tokens that follow the subwords of their word.
They begin with a space and are longer than one character, unlike all other tokens.

The ids 0 to 4 are <pad> <unk> <bos> <eos> <sep>. They are not "added tokens" of the library, which it would recognise
in every text: the text "<pad>" becomes the tokens of its five characters.
"""

from __future__ import annotations

import codecs
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from unrolled.data.encoding.blocks import at_line_ends, codes_of, normalized_blocks
from unrolled.data.encoding.pipeline import (
    BYTE_OF,
    BYTES,
    Kind,
    Normalize,
    byte_pairs,
    bytes_of,
    is_whole,
    marked,
    pipeline,
)
from unrolled.data.encoding.scanner import Encoded, Scanner, joined, scanner
from unrolled.data.encoding.stored import read_stored, refuse_foreign
from unrolled.data.encoding.vocabulary import learned
from unrolled.data.special import BOS, EOS, PAD, SEP, SPECIAL, UNK
from unrolled.errors import DataError
from unrolled.strings import NOT_UNICODE, has_surrogate, normalized

__all__ = ["BOS", "BYTES", "EOS", "PAD", "SEP", "SPECIAL", "UNK", "Kind", "Tokenizer", "byte_pairs", "marked"]

AT_ONCE = 8_192  # texts encoded together


class Tokenizer:
    """A fixed vocabulary and the rule that splits a text into its tokens.

    Args:
        kind: unit of a token.
        tokens: the vocabulary, by id.
        merges: merges of bpe, in order.
        lowercase: whether upper case is folded (kind word).
        normalize: Unicode normal form of every text before it is split: none, nfc or nfkc. Kind word composes anyway.
    """

    FILE: ClassVar[str] = "tokenizer.json"

    def __init__(
        self,
        kind: Kind,
        tokens: Sequence[str],
        *,
        merges: Sequence[tuple[str, str]] = (),
        lowercase: bool = False,
        normalize: Normalize = "none",
    ) -> None:
        self.kind = kind
        self.lowercase = lowercase
        self.normalize: Normalize = normalize
        self._tokens = tuple(tokens)  # by id
        self._merges = tuple(merges)  # of bpe, in order
        self._whole = {token: i for i, token in enumerate(self._tokens) if is_whole(token)}
        self._inner = pipeline(kind, self._tokens, self._merges, lowercase=lowercase, normalize=normalize)

    def __repr__(self) -> str:
        return f"<Tokenizer: {len(self._tokens):,} tokens, kind {self.kind}>"

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        *,
        kind: Kind = "word",
        vocabulary_size: int = 20_000,
        min_frequency: int = 2,
        lowercase: bool = True,
        whole_words: int = 0,
        normalize: Normalize = "none",
    ) -> Tokenizer:
        """Learn a vocabulary; equal texts give equal vocabularies, to the byte of the JSON.

        Args:
            texts: the training texts. Of more than 50 MB, all kinds but `character` use the first texts and log a
                warning.
            kind: unit of a token.
            vocabulary_size: maximum number of tokens, including 5 special ones (a byte vocabulary always has 261).
            min_frequency: minimum number of occurrences of a token, or for bpe of a pair.
            lowercase: fold upper case (kind word only).
            whole_words: maximum number of added whole words, for texts that are words (see `encode_words`).
            normalize: Unicode normal form of the texts.

        Raises:
            ConfigError: an unknown kind, or a vocabulary too small for its required tokens.
        """
        found = learned(
            texts,
            kind=kind,
            vocabulary_size=vocabulary_size,
            min_frequency=min_frequency,
            lowercase=lowercase,
            whole_words=whole_words,
            normalize=normalize,
        )
        return cls(kind, found.tokens, merges=found.merges, lowercase=found.lowercase, normalize=normalize)

    @property
    def vocabulary_size(self) -> int:
        """The number V of ids."""
        return len(self._tokens)

    @property
    def num_whole_words(self) -> int:
        """The number of whole words in the vocabulary, see `encode_words`."""
        return len(self._whole)

    def words(self) -> dict[int, str]:
        """Return the words of the vocabulary by id: all tokens of kind word, and whole words."""
        whole = {token: text[1:] for text, token in self._whole.items()}
        tokens = enumerate(self._tokens) if self.kind == "word" else ()
        return {token: text for token, text in tokens if token >= len(SPECIAL)} | whole

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, at least one: a text without tokens is [UNK].

        Raises:
            DataError: a text is not a string, or holds an unpaired surrogate.
        """
        if isinstance(texts, str):
            raise TypeError("encode takes a list of texts, got one text")
        if self._scanner is None:
            return self._by_library(texts)
        ids, lengths = self._flat(texts)
        if len(lengths) == 1:
            return [ids.tolist()]
        flat, ends = iter(ids.tolist()), lengths.tolist()
        return [[*islice(flat, length)] for length in ends]

    def encode_flat(self, texts: Iterable[str]) -> Iterator[Encoded]:
        """Yield the ids of some texts at a time as arrays: all ids, one text after the other, and their numbers.

        Raises:
            DataError: as `encode`.
        """
        texts = iter(texts)
        while batch := list(islice(texts, AT_ONCE)):
            yield self._flat(batch)

    def _flat(self, texts: Sequence[str]) -> Encoded:
        """Return the ids of texts, see `encode_flat`."""
        if self._scanner is None:
            return joined(self._by_library(texts))
        try:
            return self._scanner.encode(texts, self._by_library)
        except DataError:  # the number of the text is to be that among all
            raise _refusal(texts) from None

    def _by_library(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, by the definition."""
        try:
            encodings = self._inner.encode_batch_fast(list(texts), add_special_tokens=False)
        except TypeError:
            raise _refusal(texts) from None
        return [encoding.ids or [UNK] for encoding in encodings]

    def encode_each(self, texts: Iterable[str]) -> Iterator[list[int]]:
        """Yield the ids of each text, as `encode`; few texts are in memory at a time."""
        texts = iter(texts)
        while batch := list(islice(texts, AT_ONCE)):
            yield from self.encode(batch)

    def encode_words(self, words: Sequence[str]) -> list[list[int]]:
        """Return the ids of each word: those of its subwords, and its own id if the vocabulary has whole words.

        Each word is encoded with a space before it, which marks its start (kind word drops it). The own id of a word
        that is not in the vocabulary is <unk>.

        Raises:
            DataError: as `encode`.
        """
        subwords = self.encode(texts := marked(words))
        if not self._whole:
            return subwords
        whole = (self._whole.get(normalized(text, self.normalize), UNK) for text in texts)
        return [[*ids, own] for ids, own in zip(subwords, whole, strict=True)]

    def encode_blocks(self, blocks: Iterable[str]) -> Iterator[NDArray[np.integer[Any]]]:
        """Yield the ids of a long text in blocks of any size; the ids are those of the whole text.

        Characters and bytes are looked up in a table; words and byte pairs are encoded by the library, in chunks that
        end at line ends which no token spans. (In a text without such a line end, a token may be split every 16 MB.)
        """
        if self.kind in ("byte", "character"):
            for block in blocks if self.normalize == "none" else normalized_blocks(blocks, self.normalize):
                yield self._table[codes_of(block, self.kind)]
            return
        for chunk in at_line_ends(blocks):
            yield np.array(self._inner.encode(chunk, add_special_tokens=False).ids, dtype=np.int64)

    def unknown(self, text: str) -> list[tuple[int, str]]:
        """Return the spans of a text that are not in the vocabulary: start (in characters) and text.

        Raises:
            DataError: as `encode`.
        """
        if self.kind in ("byte", "bpe"):
            return []
        try:
            encoding = self._inner.encode(text, add_special_tokens=False)
        except TypeError:
            raise _refusal([text]) from None
        return [
            (start, text[start:end]) for i, (start, end) in zip(encoding.ids, encoding.offsets, strict=True) if i == UNK
        ]

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return for each id of `text` its range [start, end) of characters in the original."""
        spans = self._inner.encode(text, add_special_tokens=False).offsets or [(0, len(text))]
        # Composition (NFC) drops the last combining marks of a token from its range; they end before the next token.
        nexts = [start for start, _ in spans[1:]] + [len(text)]
        return [(start, _extended(text, end, limit)) for (start, end), limit in zip(spans, nexts, strict=True)]

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """Return the text of each id; bytes of an incomplete character are written `\\xe4`."""
        tokens = [self._tokens[i] for i in ids]
        if self.kind in ("character", "word"):
            return tokens
        whole = {*SPECIAL, *self._whole}
        return [t if t in whole else bytes_of([t]).decode("utf-8", "backslashreplace") for t in tokens]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids: words separated by spaces, other tokens joined as they are.

        <unk> is included; the other special ids are left out.
        """
        tokens = [self._tokens[i] for i in ids if i == UNK or i >= len(SPECIAL)]
        if self.kind == "word":
            return " ".join(tokens)
        if self.kind == "character":
            return "".join(tokens)
        return bytes_of(tokens).decode("utf-8", "replace")

    def reader(self) -> Callable[[int], str]:
        """Return an incremental decoder: a function id -> the text that it adds to the result of `decode`.

        Bytes of an incomplete character are held back.
        """
        utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        first = True

        def read(i: int) -> str:
            nonlocal first
            if i != UNK and i < len(SPECIAL):
                return ""
            token = self._tokens[i]
            if self.kind in ("byte", "bpe"):
                return utf8.decode(bytes_of([token]))
            space = "" if first or self.kind == "character" else " "
            first = False
            return space + token

        return read

    def to_json(self) -> str:
        """Return the tokenizer as the JSON that the `tokenizers` library reads."""
        return self._inner.to_str(pretty=True)

    @classmethod
    def from_json(cls, text: str, name: Path | str = FILE) -> Tokenizer:
        """Return the tokenizer of the JSON from `to_json`.

        Args:
            text: the JSON.
            name: name of the file, for the message.

        Raises:
            CheckpointError: the JSON is damaged or not from `to_json`; the message names the fault.
        """
        kind, tokens, merges, lowercase, normalize = read_stored(text, name)
        tokenizer = cls(kind, tokens, merges=merges, lowercase=lowercase, normalize=normalize)
        refuse_foreign(text, tokenizer.to_json(), name)
        return tokenizer

    @cached_property
    def _scanner(self) -> Scanner | None:
        """The scanner of words; None for other kinds, and where it was not compiled."""
        return scanner(self._tokens, lowercase=self.lowercase, unknown=UNK) if self.kind == "word" else None

    @cached_property
    def _table(self) -> NDArray[np.integer[Any]]:
        """Id of each byte, or of each character."""
        ids = np.full(256 if self.kind == "byte" else sys.maxunicode + 1, UNK, dtype=np.int32)
        for i, token in enumerate(self._tokens[len(SPECIAL) :], start=len(SPECIAL)):
            ids[BYTE_OF[token] if self.kind == "byte" else ord(token)] = i
        return ids


def _refusal(texts: Sequence[object]) -> DataError:
    """Return the error about the first text that the library refuses."""
    fix = "give strings of valid Unicode"
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            return DataError(f"text is expected, got a Python {type(text).__name__}", file=f"item {number}", fix=fix)
        if has_surrogate(text):
            return DataError(f"the text {NOT_UNICODE}", file=f"item {number}", row=text, fix=fix)
    raise AssertionError("the library refused valid texts")


def _extended(text: str, end: int, limit: int) -> int:
    """Return `end`, moved right to the next space or to `limit`."""
    while end < limit and not text[end].isspace():
        end += 1
    return end
