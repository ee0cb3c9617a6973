"""Cached ids: built once, found again, built again after a change of anything they depend on."""

import errno
import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from unrolled.config import DataConfig
from unrolled.data.encoding import corpus as module
from unrolled.data.encoding.cache import cache_folder
from unrolled.data.encoding.corpus import Corpus, load_corpus, load_split
from unrolled.data.encoding.tokenizers import Tokenizer
from unrolled.errors import DataError

TEXT = "".join(f"{i} lines of ünïcode, and more\n" for i in range(300))


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def load(data: object, **settings: object) -> Corpus:
    base = {"tokenizer": "character", "min_frequency": 1, "lowercase": False}
    return load_corpus(data, DataConfig(**base | settings))


@pytest.mark.parametrize("tokenizer", ["character", "byte", "bpe"])
def test_the_ids_are_those_of_the_text(text: Path, tokenizer: str, tmp_path: Path) -> None:
    corpus = load(text, tokenizer=tokenizer, vocabulary_size=300, cache=str(tmp_path / "c"))
    assert "".join(corpus.tokenizer.decode(split.ids) for split in corpus.splits.values()) == TEXT
    assert sum(split.characters for split in corpus.splits.values()) == len(TEXT)
    train = corpus.splits["train"]
    assert isinstance(train.ids.base, np.memmap)
    assert not train.ids.flags.writeable
    assert train.ids.dtype == (np.uint8 if tokenizer == "character" else np.uint16)
    assert np.array_equal(corpus.counts, np.bincount(train.ids, minlength=corpus.tokenizer.vocabulary_size))
    assert (corpus.name, train.unknown, train.files) == ("a", 0, 1)


def test_a_second_run_finds_them(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"cache": str(tmp_path / "c")}
    first = load(text, **settings)
    (tmp_path / "elsewhere").mkdir()
    moved = text.rename(tmp_path / "elsewhere" / "b.txt")
    monkeypatch.setattr(module, "_write", None)  # building would fail
    again = load(moved, **settings)
    assert (first.built, again.built, again.name) == (True, False, "b")
    assert again.how == first.how
    for name, split in first.splits.items():
        assert np.array_equal(split.ids, again.splits[name].ids)
        assert split.fingerprint == again.splits[name].fingerprint


def test_whatever_they_depend_on_makes_them_anew(text: Path, tmp_path: Path) -> None:
    settings: dict[str, object] = {"cache": str(tmp_path / "c")}
    assert load(text, **settings).built
    for change in [
        {"tokenizer": "byte"}, {"vocabulary_size": 30}, {"min_frequency": 2},
        {"valid_fraction": 0.2}, {"test_fraction": 0.2},
        {"valid": str(text)}, {"test": str(text)}, {"cache": str(tmp_path / "d")},
    ]:  # fmt: skip
        assert load(text, **settings | change).built
        assert not load(text, **settings | change).built
    text.write_text(TEXT + "more\n", encoding="utf-8")
    assert load(text, **settings).built


def test_a_tokenizer_that_is_there(text: Path, tmp_path: Path) -> None:
    config = DataConfig(cache=str(tmp_path / "c"), valid="gone.txt")
    tokenizer = Tokenizer.train([TEXT.replace("ü", "u")], kind="character", min_frequency=1)
    split = load_split(text, config, tokenizer)
    assert split.unknown == TEXT.count("ü")
    assert tokenizer.decode(split.ids) == TEXT.replace("ü", "<unk>")
    assert split.fingerprint == load_split(text, config, tokenizer).fingerprint
    assert load_split("sample:shakespeare/test", config, tokenizer).characters == 215_894


def test_ids_that_a_tokenizer_has_made_are_found_by_it(text: Path, tmp_path: Path) -> None:
    made = load(text, cache=str(tmp_path / "c"))
    config = DataConfig(tokenizer="character", min_frequency=1, lowercase=False, cache=str(tmp_path / "c"))
    assert not load_corpus(text, config, made.tokenizer).built
    other = Tokenizer.train([TEXT[::-1] + "ß"], kind="character", min_frequency=1)
    assert load_corpus(text, config, other).built
    assert load_corpus(text, config, other).tokenizer.to_json() == other.to_json()


def test_the_cache_is_the_users(text: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder(DataConfig()) == tmp_path / "xdg" / "unrolled"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    load(text)
    assert (tmp_path / "home" / ".cache" / "unrolled" / "texts").is_dir()


def test_what_was_left_half_is_made_anew(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"cache": str(tmp_path / "c")}

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "fsync", full)
        with pytest.raises(DataError, match=r"cannot be saved here: No space left on device\n.*--cache"):
            load(text, **settings)
    assert [path.suffix for path in (tmp_path / "c" / "texts").iterdir()] == [".lock"]
    (tmp_path / "c" / "texts" / f"{next((tmp_path / 'c' / 'texts').iterdir()).stem}.partial").mkdir()
    assert load(text, **settings).built
    assert not list((tmp_path / "c" / "texts").glob("*.partial"))
    with pytest.raises(DataError, match="cannot be saved here"):
        load(text, cache=str(text))


@pytest.mark.parametrize("name", ["train.ids", "valid.ids", "tokenizer.json", "manifest.json", "SHA256SUMS"])
@pytest.mark.parametrize("how", ["bit", "truncated", "missing"])
def test_damaged_ids_are_reported_and_built_again(
    name: str, how: str, text: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"cache": str(tmp_path / "c")}
    first = {name: split.ids.copy() for name, split in load(text, **settings).splits.items()}
    assert not load(text, **settings).built
    (folder,) = (path for path in (tmp_path / "c" / "texts").iterdir() if path.is_dir())
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    data = bytearray(before[name])
    data[len(data) // 2] ^= 1
    if how == "missing":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(data if how == "bit" else data[:-1])
    again = load(text, **settings)
    assert again.built
    reported = (name, how) != ("SHA256SUMS", "missing")  # a folder without it was never complete
    assert caplog.text.count("the cached ids are damaged, and are built again") == reported
    assert (name in caplog.text) == reported
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert all(np.array_equal(split.ids, first[name]) for name, split in again.splits.items())
    assert not load(text, **settings).built


def test_the_sums_of_a_large_text_are_checked_once(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = load(text, cache=str(tmp_path / "c"))
    checked: list[list[str]] = []
    monkeypatch.setattr(module.atomic, "check", lambda folder, names: checked.append(list(names)))
    config = DataConfig(tokenizer="character", min_frequency=1, lowercase=False, cache=str(tmp_path / "c"))
    load_corpus(text, config, made.tokenizer)
    assert checked == [["train.ids", "valid.ids", "test.ids"]]


def built(data: str, cache: str, answers: "multiprocessing.Queue[bool]") -> None:
    answers.put(load(data, cache=cache).built)


def test_of_two_that_start_together_one_builds(text: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    both = [context.Process(target=built, args=(str(text), str(tmp_path / "c"), answers)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert sorted(answers.get(timeout=5) for _ in both) == [False, True]
