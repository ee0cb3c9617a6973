"""Remedies of messages are run as they stand: the file that they write is read."""

import bz2
import gzip
import lzma
import re
import subprocess

import pytest

from unrolled.data.reading.lines import open_lines
from unrolled.data.reading.remedies import renaming, rewriting
from unrolled.errors import DataError

TEXT = "text,label\nna\u00efve caf\u00e9,good\n"
WHOLE = ["text,label", "na\u00efve caf\u00e9,good"]


def read(path):
    """The lines of a file, and the fix of the first fault in them."""
    with open_lines(path, str(path)) as lines:
        texts, fixes = [], []
        for text in lines.rows():
            texts.append(text)
            fault = lines.fault_of(text)
            if fault and fault.error:
                fixes.append(fault.error.fix)
    return texts, fixes[0] if fixes else None


def follow(fix, tool):
    """Run the command in a fix."""
    subprocess.run(re.search(rf"{tool} .*?(?=, or |$)", fix)[0], shell=True, check=True)


@pytest.mark.parametrize("name", ["reviews.csv", "my reviews (1).csv", "sich's.csv"])
@pytest.mark.parametrize("codec", ["cp1252", "utf-16-le", "utf-16-be"])
def test_other_encodings_are_converted_by_the_command_of_the_message(tmp_path, name, codec):
    path = tmp_path / name
    path.write_bytes(TEXT.encode(codec))
    _, fix = read(path)
    follow(fix, "iconv")
    assert read(path.with_name(f"{path.stem}.utf8.csv")) == (WHOLE, None)


@pytest.mark.parametrize(
    ("extension", "pack"), [(".gz", gzip.compress), (".xz", lzma.compress), (".bz2", bz2.compress)]
)
def test_compressed_files_are_unpacked_by_the_command(tmp_path, extension, pack):
    path = tmp_path / f"a.csv{extension}"
    path.write_bytes(pack(TEXT.encode("latin-1")))
    subprocess.run(rewriting("iconv -f LATIN1 -t UTF-8", str(path), "utf8"), shell=True, check=True)
    assert read(tmp_path / "a.utf8.csv") == (WHOLE, None)


def test_carriage_returns_become_line_feeds_by_the_command_of_the_message(tmp_path):
    path = tmp_path / "old mac.csv"
    path.write_bytes(TEXT.replace("\n", "\r").encode())
    _, fix = read(path)
    follow(fix, "tr")
    assert read(tmp_path / "old mac.lines.csv") == (WHOLE, None)


def test_a_compressed_file_by_another_name_is_renamed_by_the_command_of_the_message(tmp_path):
    path = tmp_path / "a file.csv"
    path.write_bytes(gzip.compress(TEXT.encode()))
    with pytest.raises(DataError, match="is gzip data") as caught:
        read(path)
    follow(caught.value.fix, "mv")
    assert read(tmp_path / "a file.csv.gz") == (WHOLE, None)
    assert renaming("a.csv", ".parquet") == "mv a.csv a.parquet"


def test_damage_is_not_taken_for_utf_16(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,label\na\0 long enough line,good\n")
    assert "check whether the file is damaged" in read(path)[1]


def test_standard_input_is_no_file_to_be_named():
    assert rewriting("tr a b", "standard input", "new") == "tr a b"
