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
import json
import logging
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

# Otherwise the library starts a thread pool that is dead in a forked worker, and warns about it on stderr.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import tokenizers as library
from numpy.typing import NDArray
from pydantic import Field
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers

from unrolled.data.encoding.scanner import Encoded, Scanner, counted, joined, scanner
from unrolled.data.special import BOS, EOS, PAD, SEP, SPECIAL, UNK
from unrolled.errors import CheckpointError, ConfigError, DataError
from unrolled.saved import Count, Label, Open, valid
from unrolled.strings import NOT_UNICODE, has_surrogate, normalized

__all__ = ["BOS", "BYTES", "EOS", "PAD", "SEP", "SPECIAL", "UNK", "Kind", "Tokenizer", "byte_pairs", "marked"]

logger = logging.getLogger(__name__)

Kind = Literal["character", "byte", "word", "bpe"]
Normalize = Literal["none", "nfc", "nfkc"]
FORMS: dict[Normalize, Any] = {"nfc": normalizers.NFC, "nfkc": normalizers.NFKC}
AT_ONCE = 8_192  # texts encoded together
MOST_BYTES = 50_000_000  # of text that a vocabulary is learned from; more text hardly changes it

WORDS = r"""
\p{Han}|\p{Hiragana}|\p{Katakana}
|[\p{L}\p{M}\p{N}]+?(?=[nN]'[tT](?!\p{L}))|[nN]'[tT](?!\p{L})
|'(?:[sSdDmMtT]|[rR][eE]|[vV][eE]|[lL][lL])(?!\p{L})
|[\p{L}\p{M}\p{N}]+
|\S
""".replace("\n", "")

# The character for each byte in the library's byte-level vocabulary: the byte itself if it is printable.
PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
MOVED = [byte for byte in range(256) if byte not in PRINTABLE]
BYTES = [chr(byte) if byte in PRINTABLE else chr(256 + MOVED.index(byte)) for byte in range(256)]
LINE_END = re.compile(r"(?<=\S)\n(?=\S)")
BYTE_OF = {character: byte for byte, character in enumerate(BYTES)}


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
        self._whole = {token: i for i, token in enumerate(self._tokens) if _is_whole(token)}
        self._inner = library.Tokenizer(self._model())
        form = [] if normalize == "none" else [FORMS[normalize]()]
        if form:
            self._inner.normalizer = form[0]
        if kind == "word":
            steps = [
                *form,
                normalizers.NFC(),
                normalizers.Replace("’", "'"),
                *([normalizers.Lowercase()] if lowercase else []),
            ]
            self._inner.normalizer = normalizers.Sequence(steps)
            self._inner.pre_tokenizer = pre_tokenizers.Split(Regex(WORDS), "removed", invert=True)
        elif kind == "character":
            self._inner.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
            self._inner.decoder = decoders.Fuse()
        else:
            self._inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=kind == "bpe")
            self._inner.decoder = decoders.ByteLevel()

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
        if normalize != "none":
            texts = (normalized(text, normalize) for text in texts)
        if whole_words:
            counts = Counter(texts := list(texts))
            frequent = sorted(
                (text for text in counts if counts[text] >= min_frequency), key=lambda text: -counts[text]
            )
            subwords = cls.train(
                texts,
                kind=kind,
                vocabulary_size=vocabulary_size,
                min_frequency=min_frequency,
                lowercase=lowercase,
                normalize=normalize,
            )
            tokens = (*subwords._tokens, *frequent[:whole_words])
            return cls(kind, tokens, merges=subwords._merges, lowercase=subwords.lowercase, normalize=normalize)
        if kind not in get_args(Kind):
            raise ConfigError(f'tokenizer "{kind}" is unknown; tokenizers are {", ".join(get_args(Kind))}')
        smallest = len(SPECIAL) + (len(BYTES) if kind == "bpe" else 1)
        if vocabulary_size < smallest:
            raise ConfigError(
                f"vocabulary_size must be at least {smallest} for tokenizer {kind}: got {vocabulary_size}"
            )
        if kind == "byte":
            return cls(kind, (*SPECIAL, *BYTES), normalize=normalize)
        if kind == "character":
            characters = _characters(texts, vocabulary_size - len(SPECIAL), min_frequency)
            return cls(kind, (*SPECIAL, *characters), normalize=normalize)
        lowercase = lowercase and kind == "word"
        # The trainers make special tokens "added tokens"; their vocabulary moves into a tokenizer without added tokens.
        learner = cls(kind, SPECIAL, lowercase=lowercase, normalize=normalize)._inner
        options: dict[str, Any] = {
            "vocab_size": vocabulary_size,
            "min_frequency": min_frequency,
            "special_tokens": list(SPECIAL),
            "show_progress": False,
        }
        if kind == "bpe":
            learner.train_from_iterator(_first(texts), trainers.BpeTrainer(initial_alphabet=BYTES, **options))
            merges = [(left, right) for left, right in json.loads(learner.to_str())["model"]["merges"]]
            return cls(kind, byte_pairs(merges), merges=merges, normalize=normalize)
        numbers = counted(_first(texts), lowercase=lowercase, words_of=lambda text: _words(learner, text))
        if numbers is not None:
            order = sorted((-number, word) for word, number in numbers.items() if number >= min_frequency)
            words = [*SPECIAL, *(word for _, word in order)][:vocabulary_size]
            return cls(kind, words, lowercase=lowercase, normalize=normalize)
        learner.train_from_iterator(_first(texts), trainers.WordLevelTrainer(**options))
        vocabulary = learner.get_vocab()
        words = sorted(vocabulary, key=lambda token: vocabulary[token])
        return cls(kind, words, lowercase=lowercase, normalize=normalize)

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
            for block in blocks if self.normalize == "none" else _normalized_blocks(blocks, self.normalize):
                yield self._table[_codes(block, self.kind)]
            return
        for chunk in _at_line_ends(blocks):
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
        return [t if t in whole else _bytes([t]).decode("utf-8", "backslashreplace") for t in tokens]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids: words separated by spaces, other tokens joined as they are.

        <unk> is included; the other special ids are left out.
        """
        tokens = [self._tokens[i] for i in ids if i == UNK or i >= len(SPECIAL)]
        if self.kind == "word":
            return " ".join(tokens)
        if self.kind == "character":
            return "".join(tokens)
        return _bytes(tokens).decode("utf-8", "replace")

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
                return utf8.decode(_bytes([token]))
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
        stored = valid(_Stored, name, text.encode("utf-8", "surrogatepass"))
        kind, vocabulary, merges = stored.kind, stored.model.vocab, stored.model.merges
        tokens = sorted(vocabulary, key=lambda token: vocabulary[token])
        if [vocabulary[token] for token in tokens] != list(range(len(tokens))):
            raise CheckpointError(f"{name} is damaged: its ids are not 0, 1, 2, … without gaps")
        if tuple(tokens[: len(SPECIAL)]) != SPECIAL:
            raise CheckpointError(f"{name} is damaged: its first ids are not {' '.join(SPECIAL)}")
        subwords = [token for token in tokens if not _is_whole(token)]
        if kind == "character" and any(len(token) != 1 for token in subwords[len(SPECIAL) :]):
            raise CheckpointError(f"{name} is damaged: a token is not one character")
        if kind in ("byte", "bpe") and subwords != byte_pairs(merges if kind == "bpe" else ()):
            raise CheckpointError(f"{name} is damaged: its vocabulary does not follow from its merges")
        if any(not {left, right} <= vocabulary.keys() for left, right in merges):
            raise CheckpointError(f"{name} is damaged: it merges subwords that are not in its vocabulary")
        tokenizer = cls(kind, tokens, merges=merges, lowercase=stored.lowercase, normalize=stored.normalize)
        read, written = json.loads(text), json.loads(tokenizer.to_json())
        for key in written:
            if key != "model" and not _within(read.get(key), written[key]):
                raise CheckpointError(
                    f'{name} is damaged, or from another version: its "{key}" was not written by unrolled'
                )
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

    def _model(self) -> models.Model:
        vocabulary = {token: i for i, token in enumerate(self._tokens)}
        if self.kind in ("byte", "bpe"):
            return models.BPE(vocabulary, list(self._merges))
        return models.WordLevel(vocabulary, unk_token=SPECIAL[UNK])


def _words(inner: library.Tokenizer, text: str) -> list[str]:
    """Return the words of a text, as the library splits it."""
    return [word for word, _ in inner.pre_tokenizer.pre_tokenize_str(inner.normalizer.normalize_str(text))]


def marked(words: Iterable[str]) -> list[str]:
    """Return words with a space before each, as `encode_words` encodes them and its vocabulary is learned."""
    return [f" {word}" for word in words]


def _is_whole(token: str) -> bool:
    return len(token) > 1 and token.startswith(" ")


def byte_pairs(merges: Sequence[tuple[str, str]]) -> list[str]:
    """Return the vocabulary of byte pairs by id: special tokens, the bytes in order, each merged subword once."""
    return list(dict.fromkeys((*SPECIAL, *BYTES, *(left + right for left, right in merges))))


def _bytes(tokens: Iterable[str]) -> bytes:
    return bytes(BYTE_OF[character] for token in tokens for character in token)


def _codes(text: str, kind: Kind) -> NDArray[np.integer[Any]]:
    """Return the byte values of a text, or the code points of its characters."""
    if kind == "byte":
        return np.frombuffer(text.encode(), dtype=np.uint8)
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)


def _characters(texts: Iterable[str], most: int, min_frequency: int) -> list[str]:
    """Return the most frequent characters; of equally frequent ones the smaller code point first."""
    counts = np.zeros(sys.maxunicode + 1, dtype=np.int64)
    for text in texts:
        occurrences = np.bincount(_codes(text, "character"))
        counts[: len(occurrences)] += occurrences
    order = np.argsort(-counts, kind="stable")[: max(0, most)]
    return [chr(number) for number in order[counts[order] >= max(1, min_frequency)]]


def _at_line_ends(blocks: Iterable[str], most: int = 1 << 24) -> Iterator[str]:
    """Yield the text in chunks that end with a line end between two characters that are not white space.

    No token of the library spans such a line end. A chunk without one ends after `most` characters.
    """
    rest = ""
    for block in blocks:
        rest += block
        end = max((match.end() for match in LINE_END.finditer(rest)), default=len(rest) if len(rest) >= most else 0)
        if end:
            yield rest[:end]
            rest = rest[end:]
    if rest:
        yield rest


def _normalized_blocks(blocks: Iterable[str], form: str, most: int = 1 << 24) -> Iterator[str]:
    """Yield the normal form of a text, in blocks that end before an ASCII character.

    ASCII characters never combine with what is before them. A block without one ends after `most` characters.
    """
    rest = ""
    for block in blocks:
        rest += block
        last = next((i for i in range(len(rest) - 1, 0, -1) if rest[i].isascii()), 0)
        if last or len(rest) >= most:
            yield normalized(rest[: last or None], form)
            rest = rest[last:] if last else ""
    if rest:
        yield normalized(rest, form)


def _refusal(texts: Sequence[object]) -> DataError:
    """Return the error about the first text that the library refuses."""
    fix = "give strings of valid Unicode"
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            return DataError(f"text is expected, got a Python {type(text).__name__}", file=f"item {number}", fix=fix)
        if has_surrogate(text):
            return DataError(f"the text {NOT_UNICODE}", file=f"item {number}", row=text, fix=fix)
    raise AssertionError("the library refused valid texts")


def _first(texts: Iterable[str]) -> Iterable[str]:
    """Yield the first texts that together have no more than 50 MB."""
    total = 0
    for number, text in enumerate(texts):
        total += len(text.encode())
        if total > MOST_BYTES and number:
            logger.warning("the vocabulary was learned from the first %d texts (%d bytes)", number, MOST_BYTES)
            return
        yield text


def _extended(text: str, end: int, limit: int) -> int:
    """Return `end`, moved right to the next space or to `limit`."""
    while end < limit and not text[end].isspace():
        end += 1
    return end


class _StoredModel(Open):
    """The entry `model` of a stored tokenizer."""

    vocab: dict[Label, Count]
    merges: list[tuple[Label, Label]] = Field(default_factory=list)


class _Stored(Open):
    """A stored tokenizer, in the format of the `tokenizers` library."""

    model: _StoredModel
    pre_tokenizer: dict[str, Any]
    normalizer: dict[str, Any] | None = None

    @property
    def kind(self) -> Kind:
        """The kind, which follows from the pre-tokenizer."""
        if self.pre_tokenizer.get("type") == "ByteLevel":
            return "bpe" if self.pre_tokenizer.get("use_regex") is True else "byte"
        return "word" if self.pre_tokenizer.get("behavior") == "Removed" else "character"

    @property
    def steps(self) -> list[object]:
        """The types of the normalizer's steps, in order."""
        steps = (self.normalizer or {}).get("normalizers", [self.normalizer] if self.normalizer else [])
        return [step.get("type") for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []

    @property
    def lowercase(self) -> bool:
        """Folding of upper case by the normalizer."""
        return "Lowercase" in self.steps

    @property
    def normalize(self) -> Normalize:
        """The normal form of Unicode; that of words is followed by steps of their own."""
        steps = self.steps
        own = steps[: max(steps.index("Replace") - 1, 0)] if self.kind == "word" and "Replace" in steps else steps
        return next((form for form in FORMS if [form.upper()] == own), "none")


def _within(old: object, new: object) -> bool:
    """Return whether `old` equals `new`, except for fields that a later version of the library added."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(key in new and _within(value, new[key]) for key, value in old.items())
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(_within, old, new))
    return old == new
