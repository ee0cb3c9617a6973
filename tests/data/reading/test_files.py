import io
import os
from pathlib import Path

import pytest

from unrolled.data.reading import files
from unrolled.data.reading.files import encoding_of, open_bytes, transcoded, unpacked_name
from unrolled.errors import DataError

TEXT = "a\r\nÄ€😀\u2028\n" * 50


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("first", [4, 7, 50])
def test_other_encodings_come_out_as_utf8(codec, first, monkeypatch):
    monkeypatch.setattr(files, "BUFFER", 5)
    data = ("\ufeff" + TEXT).encode(codec)
    encoding = encoding_of(data[:first], "f")
    assert encoding.codec == codec
    assert transcoded(data[:first], io.BytesIO(data[first:]), encoding).read() == TEXT.encode()


def test_what_is_no_character_is_not_utf8_either():
    data = "\ufeffgood\nb\udc00ad\n".encode("utf-16-le", "surrogatepass") + b"x"
    read = transcoded(data, io.BytesIO(), encoding_of(data, "f")).read()
    assert read == b"good\nb" + files.MARK + b"ad\n" + files.MARK
    with pytest.raises(UnicodeDecodeError):
        files.MARK.decode()


@pytest.mark.parametrize("first", [b"\x1f\x8b\x08", b"\xfd7zXZ\x00", b"BZh91AY&SY", b"PK\x03\x04", b"PAR1\x15"])
def test_what_is_no_text_is_named(first):
    with pytest.raises(DataError, match="^f, line 1: the file is ") as caught:
        encoding_of(first, "f")
    assert caught.value.fix


def test_utf8_needs_no_mark():
    assert encoding_of(b"PAR1,label", "f") == encoding_of(b"BZh", "f") == encoding_of(b"", "f") == files.UTF8


@pytest.mark.parametrize("name", ["A.CSV", "a.csv.gz", "a.csv.XZ", "a.csv.bz2"])
def test_a_name_without_its_packing(name):
    assert unpacked_name(name) == "a.csv"


def test_a_pipe_or_a_device_is_named_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.csv")
    for path in (tmp_path / "a.csv", Path("/dev/null")):
        with (
            pytest.raises(DataError, match=f"^{path}: is a pipe or a device.*\n.*name - instead"),
            open_bytes(path, str(path)),
        ):
            pass
