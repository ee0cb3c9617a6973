"""Cache of texts as memory-mapped ids on disk, built once for a text and a tokenizer.

    <cache>/texts/<key>/train.ids, valid.ids, test.ids    the tokens of each split as a sequence of integers
    <cache>/texts/<key>/tokenizer.json                    the tokenizer
    <cache>/texts/<key>/manifest.json                     version, integer type, key, SHA-256 of the tokenizer, sources,
                                                          and the sizes and fingerprint of each split

The key is a hash of everything that decides the ids: the bytes of the files, the split, the tokenizer (or its settings)
and the version of this format. A folder is written under another name and renamed when it is complete, under a lock; of
two runs that start together, one builds and the other waits. Text is read and ids are written block by block, so a text
may be larger than memory. The cache may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unrolled.config import DataConfig
from unrolled.data.encoding.tokenizers import UNK, Tokenizer
from unrolled.data.examples.texts import Text, blocks, find_texts, split
from unrolled.errors import DataError

try:
    import fcntl
except ImportError:  # Windows has no flock: two runs that start together both build, and one folder stays
    fcntl = None  # type: ignore[assignment]

__all__ = ["Corpus", "TextSplit", "cache_folder", "load_corpus", "load_split"]

VERSION = 2
SPLIT = ("valid", "test", "valid_fraction", "test_fraction", "split_seed")
LEARNED = ("tokenizer", "vocabulary_size", "min_frequency", "lowercase", "normalize")
MANIFEST = "manifest.json"
AT_ONCE = 1 << 24  # ids counted together
TYPES = (np.uint8, np.uint16, np.uint32)  # the first that holds every id is used

log = logging.getLogger("unrolled")


@dataclass(frozen=True)
class TextSplit:
    """A split of a text as ids.

    Args:
        ids: (N,) integers, memory-mapped and read-only: the tokens of its files, one file after the other.
        characters: number of characters of the text. unknown: number of ids that are <unk>.
        fingerprint: SHA-256 of the text. files: number of files.
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
        name: for run folders.
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
        learned = tokenizer or Tokenizer.learn(chain.from_iterable(map(blocks, splits["train"])), config)
        _write(folder, key, splits, how, learned)

    folder, built = _cached(config, key, build)
    how, used, splits, counts = _open(folder)
    how += f"; left out: {texts.left_out}" if texts.left_out else ""
    return Corpus(texts.name, texts.source, how, used, counts, splits, built)


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

    folder, _ = _cached(config, key, build)
    return _open(folder)[2]["all"]


def cache_folder(config: DataConfig) -> Path:
    """Return the cache folder: `config.cache`, or `unrolled` in the user's cache folder (XDG_CACHE_HOME)."""
    if config.cache is not None:
        return Path(config.cache)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "unrolled"


def _folder(config: DataConfig, key: Mapping[str, Any]) -> Path:
    """Return the folder for a key."""
    digest = hashlib.sha256(json.dumps({"version": VERSION, **key}, sort_keys=True).encode()).hexdigest()
    return cache_folder(config) / "texts" / digest[:32]


def _was_made_by(tokenizer: Tokenizer, folder: Path) -> bool:
    """Return whether the folder has ids of this tokenizer."""
    return (folder / MANIFEST).is_file() and _digest(_open(folder)[1]) == _digest(tokenizer)


def _cached(config: DataConfig, key: Mapping[str, Any], build: Callable[[Path], None]) -> tuple[Path, bool]:
    """Return the folder for a key, and whether `build` was called to write it, under a lock."""
    folder = _folder(config, key)
    parent, partial = folder.parent, folder.with_name(f"{folder.name}.partial")
    if (folder / MANIFEST).is_file():
        return folder, False
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with (parent / f"{folder.name}.lock").open("w") as lock:
            if fcntl is not None:
                fcntl.flock(lock, fcntl.LOCK_EX)
            if (folder / MANIFEST).is_file():  # built by another run in the meantime
                return folder, False
            shutil.rmtree(partial, ignore_errors=True)  # left by a killed run: the lock excludes other writers
            partial.mkdir()
            try:
                build(partial)
                shutil.rmtree(folder, ignore_errors=True)  # without a manifest it is incomplete
                partial.rename(folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
            return folder, True
    except OSError as error:
        raise DataError(
            f"the ids cannot be saved here: {error.strerror or error}",
            file=str(parent),
            fix="free some space, or name another folder with --cache",
        ) from None


def _write(
    folder: Path, key: Mapping[str, Any], splits: Mapping[str, tuple[Text, ...]], how: str, tokenizer: Tokenizer
) -> None:
    V = tokenizer.vocabulary_size
    kind = np.dtype(next(kind for kind in TYPES if np.iinfo(kind).max >= V - 1))
    records: dict[str, Any] = {}
    counts = np.zeros(V, dtype=np.int64)
    for name, texts in splits.items():
        digest, characters, tokens, unknown = hashlib.sha256(), 0, 0, 0

        def counted(text: Text) -> Iterator[str]:
            nonlocal characters
            for block in blocks(text):
                characters += len(block)
                digest.update(block.encode())  # noqa: B023 (called within the same iteration)
                yield block

        with (folder / f"{name}.ids").open("wb") as file:
            for text in texts:
                for ids in tokenizer.encode_blocks(counted(text)):
                    file.write(ids.astype(kind).tobytes())
                    tokens += len(ids)
                    occurrences = np.bincount(ids, minlength=V)
                    unknown += int(occurrences[UNK])
                    if name == "train":
                        counts += occurrences
            file.flush()
            os.fsync(file.fileno())
        records[name] = {
            "tokens": tokens,
            "characters": characters,
            "unknown": unknown,
            "fingerprint": digest.hexdigest(),
            "files": len(texts),
        }
    (folder / "tokenizer.json").write_text(tokenizer.to_json(), encoding="utf-8")
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
    (folder / MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False) + "\n", encoding="utf-8")


def _open(folder: Path) -> tuple[str, Tokenizer, dict[str, TextSplit], NDArray[np.int64]]:
    """Return the sentence on the split, the tokenizer, the splits and the counts of a complete folder."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        tokenizer = Tokenizer.from_json((folder / "tokenizer.json").read_text(encoding="utf-8"))
        if _digest(tokenizer) != manifest["tokenizer"]:
            raise ValueError("tokenizer.json is not the one that made the ids")
        splits = {
            name: TextSplit(
                _map(folder / f"{name}.ids", np.dtype(manifest["type"]), record["tokens"]),
                record["characters"],
                record["unknown"],
                record["fingerprint"],
                record["files"],
            )
            for name, record in manifest["splits"].items()
        }
        return manifest["how"], tokenizer, splits, np.array(manifest["counts"], dtype=np.int64)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"the cached ids are damaged: {error}", file=str(folder), fix="remove this folder; it will be built again"
        ) from None


def _map(path: Path, kind: np.dtype[Any], tokens: int) -> NDArray[np.integer[Any]]:
    if path.stat().st_size != tokens * kind.itemsize:
        raise ValueError(f"{path.name} has {path.stat().st_size:,} bytes, not {tokens * kind.itemsize:,}")
    if tokens == 0:  # an empty file cannot be mapped
        return np.empty(0, dtype=kind)
    return np.memmap(path, dtype=kind, mode="r", shape=(tokens,))


def _digest(tokenizer: Tokenizer) -> str:
    return hashlib.sha256(tokenizer.to_json().encode()).hexdigest()
