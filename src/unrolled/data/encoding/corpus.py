"""Cache of texts as memory-mapped ids on disk, built once for a text and a tokenizer.

    <cache>/texts/<key>/train.ids, valid.ids, test.ids    the tokens of each split as a sequence of integers
    <cache>/texts/<key>/tokenizer.json                    the tokenizer
    <cache>/texts/<key>/manifest.json                     version, integer type, key, SHA-256 of the tokenizer, sources,
                                                          and the sizes and fingerprint of each split
    <cache>/texts/<key>/SHA256SUMS                        their hashes, checked whenever the folder is opened

The key is a hash of everything that decides the ids: the bytes of the files, the split, the tokenizer (or its settings)
and the version of this format, see `cache`. Text is read and ids are written block by block, so a text may be larger
than memory.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from unrolled import atomic
from unrolled.config import DataConfig
from unrolled.data.encoding.cache import cached, folder_of, map_array
from unrolled.data.encoding.choose import learn
from unrolled.data.encoding.tokenizers import UNK, Tokenizer
from unrolled.data.examples.texts import Text, blocks, find_texts, split
from unrolled.data.reading.faults import RAISED, Faults
from unrolled.errors import CheckpointError, DataError
from unrolled.saved import Count, Digest, Strict, decoded, valid

__all__ = ["Corpus", "TextSplit", "load_corpus", "load_split", "refuse_short"]

VERSION = 3
SPLIT = ("valid", "test", "valid_fraction", "test_fraction", "split_seed")
LEARNED = ("tokenizer", "vocabulary_size", "min_frequency", "lowercase", "normalize")
MANIFEST, TOKENIZER = "manifest.json", "tokenizer.json"
AT_ONCE = 1 << 24  # ids counted together
TYPES = (np.uint8, np.uint16, np.uint32)  # the first that holds every id is used


@dataclass(frozen=True)
class TextSplit:
    """A split of a text as ids.

    Args:
        ids: (N,) integers, memory-mapped and read-only: the tokens of its files, one file after the other.
        characters: number of characters of the text.
        unknown: number of ids that are <unk>.
        fingerprint: SHA-256 of the text.
        files: number of files.
    """

    ids: NDArray[np.integer[Any]]
    characters: int
    unknown: int
    fingerprint: str
    files: int

    def __len__(self) -> int:
        return len(self.ids)

    def counts(self, vocabulary_size: int) -> NDArray[np.int64]:
        """Return the number of occurrences of each token, (V,)."""
        chunks = (self.ids[start : start + AT_ONCE] for start in range(0, len(self), AT_ONCE))
        return sum((np.bincount(chunk, minlength=vocabulary_size) for chunk in chunks), np.zeros(vocabulary_size, int))


@dataclass(frozen=True)
class Corpus:
    """A text in three splits, and its tokenizer.

    Args:
        name: name for run folders.
        source: the path, or the sample's name.
        how: a sentence on how the splits were made.
        tokenizer: learned from the training split, or an argument of `load_corpus`.
        counts: (V,) occurrences of each token in the training split.
        splits: the splits by name.
        built: whether this call built the ids; otherwise they were in the cache.
    """

    name: str
    source: str
    how: str
    tokenizer: Tokenizer
    counts: NDArray[np.int64]
    splits: Mapping[str, TextSplit]
    built: bool


def load_corpus(data: object, config: DataConfig, tokenizer: Tokenizer | None = None) -> Corpus:
    """Read, split and tokenize `data`, or open its ids in the cache.

    Args:
        data: see `unrolled.data.examples.texts.find_texts`.
        config: the split, the tokenizer, the cache.
        tokenizer: a tokenizer to use instead of learning one.

    Raises:
        DataError: a text cannot be read, or is not UTF-8; the cache cannot be written.
        ConfigError: a vocabulary that is too small.
    """
    texts = find_texts(data, config)
    split_key = {"files": texts.digests(), **{name: getattr(config, name) for name in SPLIT}}
    key = split_key | {name: getattr(config, name) for name in LEARNED}
    if tokenizer and not _was_made_by(tokenizer, _folder(config, key)):
        key = split_key | {"tokenizer": _digest(tokenizer)}

    def build(folder: Path) -> None:
        splits, how = split(texts, config)
        learned = tokenizer or learn(chain.from_iterable(map(blocks, splits["train"])), config, usual="character")
        _write(folder, key, splits, how, learned)

    saved, built = cached(_folder(config, key), _open, build)
    how = saved.how + (f"; left out: {texts.left_out}" if texts.left_out else "")
    return Corpus(texts.name, texts.source, how, saved.tokenizer, saved.counts, saved.splits, built)


def refuse_short(corpus: Corpus, chunk: int, faults: Faults = RAISED) -> None:
    """Refuse a text whose training split is shorter than a chunk, or whose validation split is empty.

    Args:
        corpus: the text.
        chunk: tokens of a chunk.
        faults: the collector, which raises a fault or keeps it for a report.

    Raises:
        DataError: says which of the two.
    """
    tokens, valid = len(corpus.splits["train"]), len(corpus.splits["valid"])
    if tokens < chunk:
        problem = f"the training split has {tokens:,} tokens, and one chunk {chunk:,}"
        fix = f"give a longer text, or a smaller --chunk: --chunk {max(1, tokens // 2)}"
        faults.add(DataError(problem, file=corpus.source, fix=fix))
    if not valid:
        fix = "give a longer text, a file with --valid, or a larger --valid-fraction"
        faults.add(DataError("the validation split is empty", file=corpus.source, fix=fix))


def load_split(data: object, config: DataConfig, tokenizer: Tokenizer) -> TextSplit:
    """Read `data` as a single split, as ids of `tokenizer`, or open its ids in the cache.

    Raises:
        DataError: as `load_corpus`.
    """
    texts = find_texts(data, config.model_copy(update={"valid": None, "test": None}))
    files = tuple(chain(*texts.fixed.values(), texts.rest))
    key = {"files": texts.digests(), "tokenizer": _digest(tokenizer)}

    def build(folder: Path) -> None:
        _write(folder, key, {"all": files}, f"all of {texts.source}", tokenizer)

    saved, _ = cached(_folder(config, key), _open, build)
    return saved.splits["all"]


def _folder(config: DataConfig, key: Mapping[str, Any]) -> Path:
    """Return the folder for a key."""
    return folder_of(config, "texts", {"version": VERSION, **key})


class _Record(Strict):
    """A split in manifest.json."""

    tokens: Count
    characters: Count
    unknown: Count
    fingerprint: Digest
    files: Count


class _Manifest(Strict):
    """The content of manifest.json."""

    version: Literal[3]
    type: Annotated[str, Field(pattern="^[|<>]u[124]$")]
    key: dict[str, Any]
    tokenizer: Digest
    how: str
    sources: dict[str, Any]
    splits: dict[str, _Record]
    counts: list[Count]


class _Saved(NamedTuple):
    """The content of a folder: a sentence on the split, the tokenizer, the splits and the counts."""

    how: str
    tokenizer: Tokenizer
    splits: dict[str, TextSplit]
    counts: NDArray[np.int64]


def _was_made_by(tokenizer: Tokenizer, folder: Path) -> bool:
    """Return whether the folder has ids of this tokenizer."""
    try:
        manifest = valid(_Manifest, folder / MANIFEST, atomic.read(folder, (MANIFEST,))[MANIFEST])
    except CheckpointError:  # damaged or missing: it is built anyway
        return False
    return manifest.tokenizer == _digest(tokenizer)


def _write(
    folder: Path, key: Mapping[str, Any], splits: Mapping[str, tuple[Text, ...]], how: str, tokenizer: Tokenizer
) -> None:
    V = tokenizer.vocabulary_size
    kind = np.dtype(next(kind for kind in TYPES if np.iinfo(kind).max >= V - 1))
    records: dict[str, Any] = {}
    sums: dict[str, str] = {}
    counts = np.zeros(V, dtype=np.int64)
    for name, texts in splits.items():
        digest, characters, tokens, unknown = hashlib.sha256(), 0, 0, 0

        def counted(text: Text) -> Iterator[str]:
            nonlocal characters
            for block in blocks(text):
                characters += len(block)
                digest.update(block.encode())  # noqa: B023 (called within the same iteration)
                yield block

        written = hashlib.sha256()
        with (folder / f"{name}.ids").open("wb") as file:
            for text in texts:
                for ids in tokenizer.encode_blocks(counted(text)):
                    data = ids.astype(kind).tobytes()
                    file.write(data)
                    written.update(data)
                    tokens += len(ids)
                    occurrences = np.bincount(ids, minlength=V)
                    unknown += int(occurrences[UNK])
                    if name == "train":
                        counts += occurrences
            file.flush()
            os.fsync(file.fileno())
        sums[f"{name}.ids"] = written.hexdigest()
        records[name] = {
            "tokens": tokens,
            "characters": characters,
            "unknown": unknown,
            "fingerprint": digest.hexdigest(),
            "files": len(texts),
        }
    manifest = {
        "version": VERSION,
        "type": kind.str,
        "key": key,
        "tokenizer": _digest(tokenizer),
        "how": how,
        "sources": {
            name: [[str(text.path.resolve()), text.start, text.end] for text in texts] for name, texts in splits.items()
        },
        "splits": records,
        "counts": counts.tolist(),
    }
    files = {TOKENIZER: tokenizer.to_json(), MANIFEST: json.dumps(manifest) + "\n"}
    for name, content in files.items():
        (folder / name).write_bytes(content.encode())
        sums[name] = hashlib.sha256(content.encode()).hexdigest()
    (folder / atomic.SUMS).write_bytes(atomic.sums_file(sums))


def _open(folder: Path) -> _Saved:
    """Return the content of a folder, after a check of all its sums.

    Raises:
        CheckpointError: it is damaged.
    """
    files = atomic.read(folder, (MANIFEST, TOKENIZER))
    manifest = valid(_Manifest, folder / MANIFEST, files[MANIFEST])
    tokenizer = Tokenizer.from_json(decoded(folder / TOKENIZER, files[TOKENIZER]), folder / TOKENIZER)
    atomic.check(folder, [f"{name}.ids" for name in manifest.splits])
    splits = {
        name: TextSplit(
            _ids(folder / f"{name}.ids", np.dtype(manifest.type), record.tokens),
            record.characters,
            record.unknown,
            record.fingerprint,
            record.files,
        )
        for name, record in manifest.splits.items()
    }
    return _Saved(manifest.how, tokenizer, splits, np.array(manifest.counts, dtype=np.int64))


def _ids(path: Path, kind: np.dtype[Any], tokens: int) -> NDArray[np.integer[Any]]:
    ids = map_array(path, kind, (tokens,))
    ids.flags.writeable = False
    return ids


def _digest(tokenizer: Tokenizer) -> str:
    return hashlib.sha256(tokenizer.to_json().encode()).hexdigest()
