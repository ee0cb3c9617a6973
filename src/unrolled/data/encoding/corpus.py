"""A text as ids on disk, memory-mapped: built once for a text and a tokeniser, found again by every later run.

    <cache>/texts/<key>/train.ids, valid.ids, test.ids    the tokens of each part, one integer each, one after the other
    <cache>/texts/<key>/tokenizer.json                    what made them
    <cache>/texts/<key>/manifest.json                     version, integer type, key, the tokeniser's SHA-256, sources,
                                                          and what is known of each part

The key is a hash of all that the ids depend on: the files' bytes, the split, the tokeniser (or how it is learned), this
format's version. A folder is written aside and renamed when it is whole, under a lock, so that of two runs that start
together one builds and the other waits. Text is read, and ids are written, block by block: a text may be larger than
memory. The cache may be deleted at any time.
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
except ImportError:  # Windows has no flock: two first runs at once would both build, and one of them win
    fcntl = None  # type: ignore[assignment]

__all__ = ["Corpus", "TextSplit", "cache_folder", "load_corpus", "load_split"]

VERSION = 2
SPLIT = ("valid", "test", "valid_fraction", "test_fraction", "split_seed")
LEARNED = ("tokenizer", "vocabulary_size", "min_frequency", "lowercase")
MANIFEST = "manifest.json"
COUNTED = 1 << 24  # ids that are counted at once
TYPES = (np.uint8, np.uint16, np.uint32)  # the first that holds every id

log = logging.getLogger("unrolled")


@dataclass(frozen=True)
class TextSplit:
    """One part of a text as ids.

    Args:
        ids: (N,) integers, memory-mapped and read-only: the tokens of its files, one file after the other.
        characters: of the text. unknown: how many of the ids are <unk>.
        fingerprint: SHA-256 of the text. files: how many.
    """

    ids: NDArray[np.integer[Any]]
    characters: int
    unknown: int
    fingerprint: str
    files: int

    def __len__(self) -> int:
        return len(self.ids)

    def counts(self, vocabulary_size: int) -> NDArray[np.int64]:
        """Return how often each token stands in it, (V,)."""
        pieces = (self.ids[start : start + COUNTED] for start in range(0, len(self), COUNTED))
        return sum((np.bincount(piece, minlength=vocabulary_size) for piece in pieces), np.zeros(vocabulary_size, int))


@dataclass(frozen=True)
class Corpus:
    """A text in three splits, and the tokeniser that was learned from the first.

    Args:
        name: for run folders. source: the path as given, or the sample's name. how: what the splits are and why.
        counts: (V,) how often each token stands in the training split.
        built: whether the ids were made by this call; if not, they were found.
    """

    name: str
    source: str
    how: str
    tokenizer: Tokenizer
    counts: NDArray[np.int64]
    splits: Mapping[str, TextSplit]
    built: bool


def load_corpus(data: object, config: DataConfig, tokenizer: Tokenizer | None = None) -> Corpus:
    """Read, split and tokenise `data`, or find where that was done before.

    Args:
        data: see `unrolled.data.examples.texts.find_texts`.
        config: the split, the tokeniser, the cache.
        tokenizer: one that was learned before, which is taken as it is.

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
        cut = split(texts, config)
        learned = tokenizer or Tokenizer.learn(
            chain.from_iterable(blocks(text) for text in cut.splits["train"]), config
        )
        _write(folder, key, cut.splits, cut.how, learned)

    folder, built = _kept(config, key, build)
    how, made_by, splits, counts = _open(folder)
    return Corpus(texts.name, texts.source, how, made_by, counts, splits, built)


def load_split(data: object, config: DataConfig, tokenizer: Tokenizer) -> TextSplit:
    """Read `data` whole, as ids of a tokeniser that is there, or find where that was done before.

    Raises:
        DataError: as `load_corpus`.
    """
    texts = find_texts(data, config.model_copy(update={"valid": None, "test": None}))
    files = tuple(chain(*texts.fixed.values(), texts.rest))
    key = {"files": texts.digests(), "tokenizer": _digest(tokenizer)}

    def build(folder: Path) -> None:
        _write(folder, key, {"all": files}, f"all of {texts.source}", tokenizer)

    folder, _ = _kept(config, key, build)
    return _open(folder)[2]["all"]


def cache_folder(config: DataConfig) -> Path:
    """Return where ids are kept: `config.cache`, or `unrolled` in the user's cache folder (XDG_CACHE_HOME)."""
    if config.cache is not None:
        return Path(config.cache)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "unrolled"


def _folder(config: DataConfig, key: Mapping[str, Any]) -> Path:
    """Where what has this key is kept."""
    digest = hashlib.sha256(json.dumps({"version": VERSION, **key}, sort_keys=True).encode()).hexdigest()
    return cache_folder(config) / "texts" / digest[:32]


def _was_made_by(tokenizer: Tokenizer, folder: Path) -> bool:
    """Whether the ids in this folder, if there are any, are this tokeniser's."""
    return (folder / MANIFEST).is_file() and _digest(_open(folder)[1]) == _digest(tokenizer)


def _kept(config: DataConfig, key: Mapping[str, Any], build: Callable[[Path], None]) -> tuple[Path, bool]:
    """Return the folder of what has this key, and whether `build` had to write it: aside, under a lock."""
    folder = _folder(config, key)
    home, partial = folder.parent, folder.with_name(f"{folder.name}.partial")
    if (folder / MANIFEST).is_file():
        return folder, False
    try:
        home.mkdir(parents=True, exist_ok=True)
        with (home / f"{folder.name}.lock").open("w") as lock:
            if fcntl is not None:
                fcntl.flock(lock, fcntl.LOCK_EX)
            if (folder / MANIFEST).is_file():  # another run built it while we waited
                return folder, False
            shutil.rmtree(partial, ignore_errors=True)  # of one that was killed: nobody writes while we hold the lock
            partial.mkdir()
            try:
                build(partial)
                shutil.rmtree(folder, ignore_errors=True)  # what has no manifest is not whole
                partial.rename(folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
            return folder, True
    except OSError as error:
        raise DataError(
            f"the ids cannot be kept here: {error.strerror or error}",
            file=str(home),
            fix="make room, or name another folder with --cache",
        ) from None


def _write(
    folder: Path, key: Mapping[str, Any], splits: Mapping[str, tuple[Text, ...]], how: str, tokenizer: Tokenizer
) -> None:
    V = tokenizer.vocabulary_size
    kind = np.dtype(next(kind for kind in TYPES if np.iinfo(kind).max >= V - 1))
    found: dict[str, Any] = {}
    counts = np.zeros(V, dtype=np.int64)
    for name, texts in splits.items():
        digest, characters, tokens, unknown = hashlib.sha256(), 0, 0, 0

        def counted(text: Text) -> Iterator[str]:
            nonlocal characters
            for block in blocks(text):
                characters += len(block)
                digest.update(block.encode())  # noqa: B023 (it is used within this turn of the loop)
                yield block

        with (folder / f"{name}.ids").open("wb") as file:
            for text in texts:
                for ids in tokenizer.encode_blocks(counted(text)):
                    file.write(ids.astype(kind).tobytes())
                    tokens += len(ids)
                    seen = np.bincount(ids, minlength=V)
                    unknown += int(seen[UNK])
                    if name == "train":
                        counts += seen
            file.flush()
            os.fsync(file.fileno())
        found[name] = {
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
        "splits": found,
        "counts": counts.tolist(),
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False) + "\n", encoding="utf-8")


def _open(folder: Path) -> tuple[str, Tokenizer, dict[str, TextSplit], NDArray[np.int64]]:
    """How it was split, the tokeniser, the splits and the counts of a folder that is whole."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        tokenizer = Tokenizer.from_json((folder / "tokenizer.json").read_text(encoding="utf-8"))
        if _digest(tokenizer) != manifest["tokenizer"]:
            raise ValueError("tokenizer.json is not the one that made the ids")
        splits = {
            name: TextSplit(
                _map(folder / f"{name}.ids", np.dtype(manifest["type"]), known["tokens"]),
                known["characters"],
                known["unknown"],
                known["fingerprint"],
                known["files"],
            )
            for name, known in manifest["splits"].items()
        }
        return manifest["how"], tokenizer, splits, np.array(manifest["counts"], dtype=np.int64)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"what was kept of a text is damaged: {error}", file=str(folder), fix="remove this folder; it is made anew"
        ) from None


def _map(path: Path, kind: np.dtype[Any], tokens: int) -> NDArray[np.integer[Any]]:
    if path.stat().st_size != tokens * kind.itemsize:
        raise ValueError(f"{path.name} has {path.stat().st_size:,} bytes, not {tokens * kind.itemsize:,}")
    if tokens == 0:  # what is empty cannot be mapped
        return np.empty(0, dtype=kind)
    return np.memmap(path, dtype=kind, mode="r", shape=(tokens,))


def _digest(tokenizer: Tokenizer) -> str:
    return hashlib.sha256(tokenizer.to_json().encode()).hexdigest()
