"""Our console of `rich`: its styling reaches the terminal, and the text between passes the filter of `cli.streams`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO, Any, cast

import rich.console
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment

from unrolled.cli.streams import Stream

__all__ = ["Console"]


class Console(rich.console.Console):
    """A console that takes no markup, no emoji names and no escape sequences from the text that it prints."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    @property
    def file(self) -> IO[str]:
        """The stream, past its filter: `render` has escaped the text."""
        stream: Any = super().file
        return cast(IO[str], stream.unfiltered() if isinstance(stream, Stream) else stream)

    @file.setter
    def file(self, file: IO[str]) -> None:
        self._file = file

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render an object, and escape the text of its segments; those of rich's own control codes are left."""
        stream: Any = super().file
        for segment in super().render(renderable, options):
            if segment.control or not isinstance(stream, Stream):
                yield segment
            else:
                yield segment._replace(text=stream.escape(segment.text))

    def on_broken_pipe(self) -> None:
        """Raise the error again, instead of ending the process."""
        raise
