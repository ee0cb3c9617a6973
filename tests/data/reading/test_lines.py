import gzip
import io
import lzma
import os
from pathlib import Path

import pytest

from unrolled.data.reading import lines as module
from unrolled.data.reading.lines import Lines, open_lines
from unrolled.errors import DataError


def lines(data):
    return Lines(io.BytesIO(data), "f.tsv")


def test_a_line_ends_with_a_line_feed_and_with_nothing_else():
    data = "a\x0bb\x0c\x1c\x85\u2028c\r\nd\re\n\nf".encode()
    assert list(lines(data)) == ["a\x0bb\x0c\x1c\x85\u2028c\r\n", "d\re\n", "\n", "f"]


def test_a_row_may_span_lines_and_remembers_where_it_began():
    it = lines(b"one\ntwo\nthree\n")
    it.begin()
    next(it), next(it)
    assert (it.start, it.number, it.raw) == (1, 2, "one\n")
    it.begin()
    next(it)
    assert (it.start, it.raw) == (3, "three\n")


def test_the_mark_at_the_beginning_is_dropped_and_elsewhere_in_a_line_kept():
    it = lines(b"\xef\xbb\xbfa\xef\xbb\xbfb\n")
    assert next(it) == "a\ufeffb\n"
    assert it.fault is None


def test_a_byte_that_is_not_utf8_is_named_with_its_offset_and_the_line_goes_on():
    it = lines(b"good\nna\xefve, bad\nlast\n")
    next(it)
    it.begin()
    assert next(it) == "na\\xefve, bad\n"
    assert it.fault is not None
    assert it.fault.error.line == 2
    assert "0xef at offset 2" in str(it.fault.error)
    it.begin()
    assert next(it) == "last\n"
    assert it.fault is None


def test_the_first_fault_of_a_row_is_the_one_that_is_told():
    it = lines(b"\xff\n\0\n")
    next(it), next(it)
    assert it.fault.reason == "not UTF-8"


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_packed_files_read_like_plain_ones(tmp_path, pack):
    path = tmp_path / ("x.tsv.GZ" if pack is gzip.compress else "x.tsv.xz")
    path.write_bytes(pack(b"a\nb\n"))
    with open_lines(path, "x") as it:
        assert list(it) == ["a\n", "b\n"]


def test_a_row_of_absurd_length_stops_where_it_began(monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    it = lines(b"short\n" + b"x" * 2000 + b"\n")
    next(it)
    it.begin()
    with pytest.raises(DataError, match=r"(?s)line 2: the row that starts here is longer than 1,000 bytes.*xxx"):
        next(it)


def test_what_the_system_refuses_is_told(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "secret.csv"
    path.touch()
    monkeypatch.setattr(Path, "open", refuse)
    with (
        pytest.raises(DataError, match=r"secret.csv: cannot be opened: Permission denied"),
        open_lines(path, str(path)),
    ):
        pass


def test_an_error_of_the_disk_names_the_line():
    class Disk(io.BytesIO):
        def readline(self, size=-1):
            if self.tell() > 4:
                raise OSError(5, os.strerror(5))
            return super().readline(size)

    it = Lines(Disk(b"one\ntwo\nthree\n"), "f.csv")
    next(it), next(it)
    with pytest.raises(DataError, match=r"f.csv, line 3: cannot be read: Input/output error"):
        next(it)
