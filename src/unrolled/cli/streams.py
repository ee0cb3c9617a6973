"""Standard streams of a command: control characters never reach a terminal, and a failed write is an error.

While a command runs, `guarded` stands in for sys.stdout and sys.stderr, so that answers, log lines, tables and error
messages all pass here. Names, labels, texts and messages from outside may hold control characters, with which a
terminal can be made to hide, forge or type text. Styling of our own is written by `cli.console`, past this filter.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, cast

from unrolled.errors import DataError

__all__ = ["Stream", "escaped", "guarded"]

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u206f\ud800-\udfff]")
"""C0 but tabs and line ends, DEL, C1, line separators, marks that reverse the order of a text, unpaired surrogates."""


def escaped(text: str) -> str:
    """Return the text with an escape for each control character, in the form of JSON, so that JSON stays valid."""
    return CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class Stream:
    """A text stream with an escape for each control character, on a terminal and for messages.

    Args:
        stream: the stream.
        name: its name, for messages.
        messages: whether it carries messages instead of data: they are always escaped, and one that cannot be written
            is dropped, since there is nowhere to report the error.
    """

    def __init__(self, stream: TextIO, name: str, *, messages: bool = False) -> None:
        self.stream, self.name, self.messages = stream, name, messages
        self.escape: Callable[[str], str] = escaped if messages or stream.isatty() else str

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write the text, escaped."""
        with self._errors():
            self.stream.write(self.escape(text))
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        with self._errors():
            self.stream.flush()

    def unfiltered(self) -> Stream:
        """Return the same stream without escapes."""
        stream = Stream(self.stream, self.name, messages=self.messages)
        stream.escape = str
        return stream

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._discard()
            if not self.messages:
                error.filename = self.name
                raise

    def _discard(self) -> None:
        """Send all further text to nowhere, so that the interpreter's flush at exit does not fail as well."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.stream.fileno())
        os.close(nowhere)


class _ClosedInput:
    """A closed standard input (<&-): every use of it is an error."""

    def __getattr__(self, name: str) -> Any:
        raise DataError("it is closed", file="standard input", fix="pipe data into the command, or name a file")


@contextmanager
def guarded() -> Iterator[None]:
    """Guard sys.stdin, sys.stdout and sys.stderr in the block. A closed standard error (2>&-) loses its messages."""
    before = sys.stdin, sys.stdout, sys.stderr
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        sys.stdin = sys.stdin or cast(Any, _ClosedInput())
        sys.stdout = _guard(sys.stdout, "standard output")
        sys.stderr = _guard(sys.stderr or nowhere, "standard error", messages=True)
        try:
            yield
        finally:
            sys.stdin, sys.stdout, sys.stderr = before


def _guard(stream: Any, name: str, *, messages: bool = False) -> Any:
    return stream if stream is None or isinstance(stream, Stream) else Stream(stream, name, messages=messages)
