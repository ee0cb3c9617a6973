"""Text to ids and back, with the `tokenizers` library: by character, byte, word or byte pair.

- `character`  each Unicode code point; texts come back exactly, but for characters that are not in the vocabulary
- `byte`       the 256 bytes of UTF-8: id 5 + byte, nothing is ever <unk>, texts come back exactly
- `word`       runs of letters and digits, and each other character by itself. Unicode is composed (NFC), ’ is taken
               as ', upper case may be folded away. English contractions are parted so that a negation stays one
               token (do|n't, it|'s); French elisions part at the apostrophe (l|'|homme); Chinese and Japanese go
               character by character. Scripts without spaces beyond these (Thai, Khmer, …) are better served by bpe
- `bpe`        byte pairs learned from the training split, on bytes: nothing is ever <unk>, texts come back exactly

Where words come one by one (task tag), a vocabulary may also hold *whole words*: tokens that stand behind the pieces of
their word. They begin with a space and are longer than it, which no other token of any kind is.

The ids 0 to 4 are <pad> <unk> <bos> <eos> <sep>. They are no "added tokens", which the library would look for in
every text: whoever writes "<pad>" gets the tokens of these five characters.
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
from typing import Any, ClassVar, Literal, get_args

# Without this the library starts a thread pool that a forked worker would inherit dead, and warns on stderr about it.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import tokenizers as library
from numpy.typing import NDArray
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers

from unrolled.config import DataConfig
from unrolled.errors import CheckpointError, ConfigError, DataError
from unrolled.strings import NOT_UNICODE, has_surrogate

__all__ = ["BOS", "EOS", "PAD", "SEP", "SPECIAL", "UNK", "Kind", "Tokenizer", "marked"]

logger = logging.getLogger(__name__)

Kind = Literal["character", "byte", "word", "bpe"]
SPECIAL = ("<pad>", "<unk>", "<bos>", "<eos>", "<sep>")
PAD, UNK, BOS, EOS, SEP = range(5)
AT_ONCE = 8_192  # texts that are cut together
MOST_BYTES = 50_000_000  # of text that a vocabulary is learned from; more changes nothing that matters

WORDS = r"""
\p{Han}|\p{Hiragana}|\p{Katakana}
|[\p{L}\p{M}\p{N}]+?(?=[nN]'[tT](?!\p{L}))|[nN]'[tT](?!\p{L})
|'(?:[sSdDmMtT]|[rR][eE]|[vV][eE]|[lL][lL])(?!\p{L})
|[\p{L}\p{M}\p{N}]+
|\S
""".replace("\n", "")

# The character that stands for each byte in the library's byte-level vocabulary: itself where it can be printed.
PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
MOVED = [byte for byte in range(256) if byte not in PRINTABLE]
BYTES = [chr(byte) if byte in PRINTABLE else chr(256 + MOVED.index(byte)) for byte in range(256)]
LINE_END = re.compile(r"(?<=\S)\n(?=\S)")
BYTE_OF = {character: byte for byte, character in enumerate(BYTES)}


class Tokenizer:
    """A fixed vocabulary and the rule that cuts a text into its tokens."""

    FILE: ClassVar[str] = "tokenizer.json"

    def __init__(
        self, kind: Kind, tokens: Sequence[str], *, merges: Sequence[tuple[str, str]] = (), lowercase: bool = False
    ) -> None:
        self.kind = kind
        self.lowercase = lowercase
        self._tokens = tuple(tokens)  # by id
        self._merges = tuple(merges)  # of bpe, in order
        self._whole = {token: i for i, token in enumerate(self._tokens) if _is_whole(token)}
        self._inner = library.Tokenizer(self._model())
        if kind == "word":
            steps = [
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
    ) -> Tokenizer:
        """Learn a vocabulary: the same texts give the same one, to the byte of its JSON.

        Args:
            texts: what to learn from. Of more than 50 MB, all kinds but `character` take the first texts, and a warning
                is logged.
            kind: what one token is.
            vocabulary_size: most tokens to keep, the 5 special ones included (a byte vocabulary always has 261).
            min_frequency: a token, or for bpe a pair, seen less often is not kept.
            lowercase: fold upper case away (kind word only).
            whole_words: most whole words to keep beside, of texts that are words (see `encode_words`).

        Raises:
            ConfigError: an unknown kind, or a vocabulary too small to hold what it must.
        """
        if whole_words:
            counts = Counter(texts := list(texts))
            often = sorted((text for text in counts if counts[text] >= min_frequency), key=lambda text: -counts[text])
            pieces = cls.train(
                texts, kind=kind, vocabulary_size=vocabulary_size, min_frequency=min_frequency, lowercase=lowercase
            )
            tokens = (*pieces._tokens, *often[:whole_words])
            return cls(kind, tokens, merges=pieces._merges, lowercase=pieces.lowercase)
        if kind not in get_args(Kind):
            raise ConfigError(f'tokenizer "{kind}" is unknown; tokenizers are {", ".join(get_args(Kind))}')
        smallest = len(SPECIAL) + (len(BYTES) if kind == "bpe" else 1)
        if vocabulary_size < smallest:
            raise ConfigError(
                f"vocabulary_size must be at least {smallest} for tokenizer {kind}: got {vocabulary_size}"
            )
        if kind == "byte":
            return cls(kind, (*SPECIAL, *BYTES))
        if kind == "character":
            return cls(kind, (*SPECIAL, *_characters(texts, vocabulary_size - len(SPECIAL), min_frequency)))
        lowercase = lowercase and kind == "word"
        # The trainers make the special tokens "added tokens", so what they learned moves into a tokenizer without.
        learner = cls(kind, SPECIAL, lowercase=lowercase)._inner
        options: dict[str, Any] = {
            "vocab_size": vocabulary_size,
            "min_frequency": min_frequency,
            "special_tokens": list(SPECIAL),
            "show_progress": False,
        }
        if kind == "bpe":
            learner.train_from_iterator(_first(texts), trainers.BpeTrainer(initial_alphabet=BYTES, **options))
            merges = [(left, right) for left, right in json.loads(learner.to_str())["model"]["merges"]]
            return cls(kind, _pieces(merges), merges=merges)
        learner.train_from_iterator(_first(texts), trainers.WordLevelTrainer(**options))
        vocabulary = learner.get_vocab()
        return cls(kind, sorted(vocabulary, key=lambda token: vocabulary[token]), lowercase=lowercase)

    @classmethod
    def learn(cls, texts: Iterable[str], config: DataConfig) -> Tokenizer:
        """Learn a vocabulary as the settings ask; see `train`.

        Raises:
            ConfigError: as `train`, or no token is seen often enough to be kept.
        """
        learned = cls.train(
            texts,
            kind=config.tokenizer,
            vocabulary_size=config.vocabulary_size,
            min_frequency=config.min_frequency,
            lowercase=config.lowercase,
            whole_words=config.whole_words,
        )
        if learned.vocabulary_size == len(SPECIAL):
            raise ConfigError(
                f"no {config.tokenizer} is seen {config.min_frequency} times in the training split, so nothing would be "
                "known: give more data, --min-frequency 1, or another --tokenizer"
            )
        return learned

    @property
    def vocabulary_size(self) -> int:
        """The number V of ids."""
        return len(self._tokens)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text: at least one, for a text without any token is [UNK].

        Raises:
            DataError: one of the texts is not text, or holds an unpaired surrogate.
        """
        if isinstance(texts, str):
            raise TypeError("encode takes a list of texts, got one text")
        try:
            encodings = self._inner.encode_batch_fast(list(texts), add_special_tokens=False)
        except TypeError:
            raise _refusal(texts) from None
        return [encoding.ids or [UNK] for encoding in encodings]

    def encode_each(self, texts: Iterable[str]) -> Iterator[list[int]]:
        """Yield the ids of each text, as `encode`; few texts are in memory at a time."""
        texts = iter(texts)
        while some := list(islice(texts, AT_ONCE)):
            yield from self.encode(some)

    def encode_words(self, words: Sequence[str]) -> list[list[int]]:
        """Return the ids of words, each by itself: those of its pieces, and its own, where whole words are kept.

        A space stands before each, which marks where a word begins (but for kind word, which drops it). The own id of a
        word that is not kept is <unk>.

        Raises:
            DataError: as `encode`.
        """
        pieces = self.encode(texts := marked(words))
        if not self._whole:
            return pieces
        return [[*ids, self._whole.get(text, UNK)] for ids, text in zip(pieces, texts, strict=True)]

    def encode_blocks(self, blocks: Iterable[str]) -> Iterator[NDArray[np.integer[Any]]]:
        """Yield the ids of one long text that comes in blocks, cut anywhere: the same ids as of the whole.

        Characters and bytes are looked up; words and byte pairs go to the library, cut at line ends where no token can
        reach across. (In a text without any such line end, a token may be cut every 16 MB.)
        """
        if self.kind in ("byte", "character"):
            for block in blocks:
                yield self._table[_codes(block, self.kind)]
            return
        for piece in _at_line_ends(blocks):
            yield np.array(self._inner.encode(piece, add_special_tokens=False).ids, dtype=np.int64)

    def unknown(self, text: str) -> list[tuple[int, str]]:
        """Return what of a text is not in the vocabulary: where it begins (in characters), and what it is.

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
        """Return for each id of `text` the characters [start, end) of the original that it stands for."""
        spans = self._inner.encode(text, add_special_tokens=False).offsets or [(0, len(text))]
        # Composing (NFC) forgets the last marks of a token; they are what stands before the next one but for spaces.
        nexts = [start for start, _ in spans[1:]] + [len(text)]
        return [(start, _reach(text, end, limit)) for (start, end), limit in zip(spans, nexts, strict=True)]

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """Return what each id says, readable: of bytes that are no whole character `\\xe4`."""
        tokens = [self._tokens[i] for i in ids]
        if self.kind in ("character", "word"):
            return tokens
        whole = {*SPECIAL, *self._whole}
        return [t if t in whole else _bytes([t]).decode("utf-8", "backslashreplace") for t in tokens]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text that ids stand for: words with a space between them, all others as they were.

        <unk> is shown; the other special ids are left out.
        """
        tokens = [self._tokens[i] for i in ids if i == UNK or i >= len(SPECIAL)]
        if self.kind == "word":
            return " ".join(tokens)
        if self.kind == "character":
            return "".join(tokens)
        return _bytes(tokens).decode("utf-8", "replace")

    def reader(self) -> Callable[[int], str]:
        """Return a function that is given ids one by one, and says each time what text they add to `decode` so far.

        Bytes that are no whole character yet are held back.
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
    def from_json(cls, text: str) -> Tokenizer:
        """Return the tokenizer that `to_json` wrote.

        Raises:
            CheckpointError: the text is damaged or was not written by `to_json`; the message says where.
        """
        try:
            stored = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"the tokenizer is not JSON: {error}") from None
        try:
            kind, lowercase = (
                _kind(stored),
                {"type": "Lowercase"} in (stored["normalizer"] or {}).get("normalizers", ()),
            )
            vocabulary = dict(stored["model"]["vocab"])
            merges = [(left, right) for left, right in stored["model"].get("merges", ())]
            tokens = sorted(vocabulary, key=lambda token: int(vocabulary[token]))
            "".join(tokens).encode()
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"the tokenizer is damaged: {type(error).__name__}: {error}") from None
        if [vocabulary[token] for token in tokens] != list(range(len(tokens))):
            raise CheckpointError("the tokenizer is damaged: its ids are not 0, 1, 2, … without gaps")
        if tuple(tokens[: len(SPECIAL)]) != SPECIAL:
            raise CheckpointError(f"the tokenizer is damaged: its first ids are not {' '.join(SPECIAL)}")
        pieces = [token for token in tokens if not _is_whole(token)]
        if kind in ("byte", "bpe") and pieces != _pieces(merges if kind == "bpe" else ()):
            raise CheckpointError("the tokenizer is damaged: its vocabulary does not follow from its merges")
        tokenizer = cls(kind, tokens, merges=merges, lowercase=lowercase)
        written = json.loads(tokenizer.to_json())
        for part in written:
            if part != "model" and not _within(stored.get(part), written[part]):
                raise CheckpointError(f'the tokenizer is damaged, or from another version: its "{part}" is not ours')
        return tokenizer

    @cached_property
    def _table(self) -> NDArray[np.integer[Any]]:
        """The id of every byte, or of every character."""
        ids = np.full(256 if self.kind == "byte" else sys.maxunicode + 1, UNK, dtype=np.int32)
        for i, token in enumerate(self._tokens[len(SPECIAL) :], start=len(SPECIAL)):
            ids[BYTE_OF[token] if self.kind == "byte" else ord(token)] = i
        return ids

    def _model(self) -> models.Model:
        vocabulary = {token: i for i, token in enumerate(self._tokens)}
        if self.kind in ("byte", "bpe"):
            return models.BPE(vocabulary, list(self._merges))
        return models.WordLevel(vocabulary, unk_token=SPECIAL[UNK])


def marked(words: Iterable[str]) -> list[str]:
    """Return words as `encode_words` cuts them, and as a vocabulary for it is learned."""
    return [f" {word}" for word in words]


def _is_whole(token: str) -> bool:
    return len(token) > 1 and token.startswith(" ")


def _pieces(merges: Sequence[tuple[str, str]]) -> list[str]:
    """The whole vocabulary of byte pairs, by id: special tokens, the bytes in order, each new piece once."""
    return list(dict.fromkeys((*SPECIAL, *BYTES, *(left + right for left, right in merges))))


def _bytes(tokens: Iterable[str]) -> bytes:
    return bytes(BYTE_OF[character] for token in tokens for character in token)


def _codes(text: str, kind: Kind) -> NDArray[np.integer[Any]]:
    """The numbers of a text's bytes, or of its characters."""
    if kind == "byte":
        return np.frombuffer(text.encode(), dtype=np.uint8)
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)


def _characters(texts: Iterable[str], most: int, min_frequency: int) -> list[str]:
    """The most frequent characters, of equals the one with the smaller number first."""
    counts = np.zeros(sys.maxunicode + 1, dtype=np.int64)
    for text in texts:
        found = np.bincount(_codes(text, "character"))
        counts[: len(found)] += found
    order = np.argsort(-counts, kind="stable")[: max(0, most)]
    return [chr(number) for number in order[counts[order] >= max(1, min_frequency)]]


def _at_line_ends(blocks: Iterable[str], most: int = 1 << 24) -> Iterator[str]:
    """The text of the blocks in pieces that end with a line: one that is not empty, before one that begins with a word.

    There no token of the library's reaches across. A piece without such an end is cut after `most` characters.
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


def _refusal(texts: Sequence[object]) -> DataError:
    """Say which of the texts the library refused."""
    fix = "give texts only, in whole Unicode characters"
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            return DataError(f"text is expected, got a Python {type(text).__name__}", file=f"item {number}", fix=fix)
        if has_surrogate(text):
            return DataError(f"the text {NOT_UNICODE}", file=f"item {number}", row=text, fix=fix)
    raise AssertionError("the library refused texts that are whole")


def _first(texts: Iterable[str]) -> Iterable[str]:
    """Yield the first texts that together have no more than 50 MB."""
    total = 0
    for number, text in enumerate(texts):
        total += len(text.encode())
        if total > MOST_BYTES and number:
            logger.warning("the vocabulary was learned from the first %d texts (%d bytes)", number, MOST_BYTES)
            return
        yield text


def _reach(text: str, end: int, limit: int) -> int:
    while end < limit and not text[end].isspace():
        end += 1
    return end


def _kind(stored: Any) -> Kind:
    """The kind is what the pre-tokenizer says."""
    cut = stored["pre_tokenizer"]
    if cut["type"] == "ByteLevel":
        return "bpe" if cut["use_regex"] else "byte"
    return "word" if cut["behavior"] == "Removed" else "character"


def _within(old: object, new: object) -> bool:
    """Whether `old` says what `new` says, but for fields that a later version of the library added."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(key in new and _within(value, new[key]) for key, value in old.items())
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(_within, old, new))
    return old == new
