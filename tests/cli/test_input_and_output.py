"""Standard input and output as bytes."""

import io
import os
import sys
from pathlib import Path

import pytest

from unrolled.cli.decode import _standard_input
from unrolled.cli.output import print_json


def test_a_byte_order_mark_is_no_part_of_the_first_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "input").write_bytes("\ufeffä\nb\n".encode())
    with (tmp_path / "input").open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert [text for chunk in _standard_input(lambda text: None) for text in chunk] == ["ä", "b"]


@pytest.mark.parametrize(("encoding", "written"), [("UTF-8", '"ä"'), ("utf8", '"ä"'), ("ascii", '"\\u00e4"')])
def test_json_is_escaped_only_where_the_encoding_lacks_the_character(
    encoding: str, written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    print_json("ä")
    stream.flush()
    assert stream.buffer.getvalue().decode() == written + os.linesep
