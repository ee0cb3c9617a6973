"""Plain text: its files, its splits, and errors about bytes that are not text."""

import gzip
import lzma
from pathlib import Path

import pytest

from unrolled.config import DataConfig
from unrolled.data.examples import texts as module
from unrolled.data.examples.texts import Text, blocks, find_texts, split
from unrolled.errors import ConfigError, DataError


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(texts: tuple[Text, ...]) -> str:
    return "".join(block for text in texts for block in blocks(text))


def split_texts(data: object, **settings: object) -> dict[str, str]:
    config = DataConfig(**settings)
    return {name: read(files) for name, files in split(find_texts(data, config), config).splits.items()}


def poem(lines: int) -> str:
    return "".join(f"line {i} — and more\n" for i in range(lines))


@pytest.mark.parametrize("block", [1, 2, 3, 5, 64, 1 << 20])
def test_a_text_comes_back_whole_whatever_the_blocks(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    text = "ä€😀\r\n\n\ttab \u2028no end"
    if block >= 3:  # the byte order mark is taken off the first block
        assert read((Text(write(tmp_path / "bom.txt", b"\xef\xbb\xbf" + text.encode()), "bom"),)) == text
    whole = Text(write(tmp_path / "a.txt", text), "a")
    assert read((whole,)) == text
    for start in range(len(text)):
        for end in range(start, len(text) + 1):
            assert read((whole._replace(start=start, end=end),)) == text[start:end]


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".xz", lzma.compress)])
def test_packed_text_is_unpacked(suffix: str, pack: object, tmp_path: Path) -> None:
    path = write(tmp_path / f"a.txt{suffix}", pack(poem(50).encode()))
    assert split_texts(path, valid_fraction=0.2, test_fraction=0)["train"].startswith("line 0 — and more\n")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="damaged or truncated"):
        split_texts(path)


@pytest.mark.parametrize("block", [1, 4, 1 << 20])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"fine\nd\xfcll\n", "line 2: byte 0xfc at offset 1 of the line is not UTF-8"),
        (b"\xff", "line 1: byte 0xff at offset 0 of the line is not UTF-8"),
        ("a\näö\n\n€".encode() + b"\xe2\x82", "line 4: byte 0xe2 at offset 3 of the line is not UTF-8"),
        (b"one\ntwo \0 three", "line 2: NUL character, which text cannot hold"),
    ],
)
def test_bytes_that_are_no_text_are_named(
    content: bytes, message: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    with pytest.raises(DataError) as refused:
        read((Text(write(tmp_path / "bad.txt", content), "bad.txt"),))
    assert str(refused.value).startswith(f"bad.txt, {message}")


@pytest.mark.parametrize("codec", ["utf-16", "utf-32"])
def test_other_encodings_are_read_by_their_mark(codec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "ä€😀\r\n\n\ttab \u2028no end"
    for block in (4, 7, 1 << 20):
        monkeypatch.setattr(module, "BLOCK", block)
        assert read((Text(write(tmp_path / "a.txt", text.encode(codec)), "a.txt"),)) == text
    with pytest.raises(DataError, match="a.txt, line 2: the line is not UTF-16, as the byte order mark says"):
        read(
            (
                Text(
                    write(tmp_path / "a.txt", b"\xff\xfe" + "fine\nd\ud83dll".encode("utf-16-le", "surrogatepass")),
                    "a.txt",
                ),
            )
        )


def test_one_text_is_cut_into_contiguous_splits_at_line_ends(tmp_path: Path) -> None:
    text = poem(200)
    found = split_texts(write(tmp_path / "a.txt", text), valid_fraction=0.2, test_fraction=0.1)
    assert found["train"] + found["valid"] + found["test"] == text
    assert all(text.endswith("\n") for text in found.values())
    for name, fraction in (("train", 0.7), ("valid", 0.2), ("test", 0.1)):
        assert len(found[name]) == pytest.approx(fraction * len(text), abs=25)
    assert split_texts(tmp_path / "a.txt", valid_fraction=0.2, test_fraction=0) | {"test": ""} == split_texts(
        tmp_path / "a.txt", valid_fraction=0.2, test_fraction=0.0
    )


@pytest.mark.parametrize("block", [7, 1 << 20])
@pytest.mark.parametrize(("line", "lengths"), [(5, [80, 10, 10]), (4, [80, 12, 8]), (6, [84, 6, 10])])
def test_a_border_at_a_line_end_stays_and_another_moves_to_the_next(
    line: int, lengths: list[int], block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 100 characters, the borders are at 80 and 90."""
    monkeypatch.setattr(module, "BLOCK", block)
    text = (("x" * (line - 1) + "\n") * 25)[:100]
    found = split_texts(write(tmp_path / "a.txt", text), valid_fraction=0.1, test_fraction=0.1)
    assert [len(part) for part in found.values()] == lengths
    assert "".join(found.values()) == text


def test_several_files_are_split_by_file(tmp_path: Path) -> None:
    for i in range(30):
        write(tmp_path / "texts" / f"{i:02}" / "a.txt", f"text {i}\n")
    write(tmp_path / "texts" / "notes.md", "not a text")
    found = split_texts(tmp_path / "texts")
    assert sorted("".join(found.values()).split("\n")[:-1]) == sorted(f"text {i}" for i in range(30))
    assert all(found.values())
    assert found == split_texts([tmp_path / "texts" / f"{i:02}" / "a.txt" for i in range(30)])
    assert found == split_texts([tmp_path / "texts"])
    assert found != split_texts(tmp_path / "texts", split_seed=1)
    write(tmp_path / "texts" / "99" / "copy.txt", "text 7\n")
    again = split_texts(tmp_path / "texts")
    assert sum("text 7\n" in text for text in again.values()) == 1, "equal files stay together"


def test_splits_of_their_own(tmp_path: Path) -> None:
    main = write(tmp_path / "a.txt", poem(100))
    valid, test = write(tmp_path / "v.txt", "valid\n"), write(tmp_path / "t" / "t.txt", "test\n")
    found = split_texts(main, valid=str(valid), test=str(tmp_path / "t"))
    assert found == {"train": poem(100), "valid": "valid\n", "test": "test\n"}
    assert test.is_file()
    some = split_texts(main, valid=str(valid))
    assert some["valid"] == "valid\n"
    assert some["train"] + some["test"] == poem(100)
    assert split_texts("sample:shakespeare", valid=str(valid))["valid"] == "valid\n"
    assert split_texts("sample:shakespeare/test")["train"].startswith(" Macbeth")


def test_a_text_of_one_line_is_cut_within_it(tmp_path: Path) -> None:
    text = "".join(map(str, range(1000)))
    found = split_texts(write(tmp_path / "a.txt", text))
    assert "".join(found.values()) == text
    assert [round(10 * len(split) / len(text), 2) for split in found.values()] == [8, 1, 1]


def test_what_it_says_of_the_splits(tmp_path: Path) -> None:
    def how(data: object, **settings: object) -> str:
        config = DataConfig(**settings)
        return split(find_texts(data, config), config).how

    main = write(tmp_path / "a.txt", poem(10))
    assert how(main) == "one text, split at line ends: train 80 %, valid 10 %, test 10 %"
    assert how("sample:shakespeare") == "the fixed splits of sample:shakespeare"
    assert how("sample:shakespeare", test=str(main)) == f"the fixed splits of sample:shakespeare; test is {main}"
    assert how(main, valid=str(main), test_fraction=0) == f"train is all of the text; valid is {main}"
    for i in range(4):
        write(tmp_path / "f" / f"{i}.txt", f"{i}")
    assert how(tmp_path / "f", split_seed=3) == "split by file: train 80 %, valid 10 %, test 10 %, seed 3"


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for i in range(2):
        write(tmp_path / "two" / f"{i}.txt", f"{i}")
    for data, message in [
        (tmp_path / "no.txt", "no.txt: there is no such file"),
        (write(tmp_path / "a.csv", "a,b"), "a.csv: is not a text file by its name\n  fix:  text files end in .txt, "),
        (tmp_path / "a.csv", "or read it from standard input: - < a.csv"),
        (tmp_path / "empty", "empty: the folder has no text files"),
        (tmp_path / "two", "2 files are too few to split by file"),
        (3, "plain text cannot be read from a Python int"),
        ([("a", "b")], "plain text cannot be read from a Python list"),
        ("sample:films", "sample:films is a sample for task classify, not generate"),
    ]:
        with pytest.raises(DataError) as refused:
            split_texts(data)
        assert message in str(refused.value)
    with pytest.raises(ConfigError, match="must leave something to train on"):
        split_texts(write(tmp_path / "a.txt", "a"), valid_fraction=0.5, test_fraction=0.5)
