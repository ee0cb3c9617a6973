"""`unrolled decode`: answers for texts, from arguments, a file or standard input."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from unrolled.errors import DataError

__all__ = ["command"]

CHUNK = 512  # texts that are answered together


def command(
    run: Path,
    /,
    *texts: str,
    file: Annotated[Path | None, Parameter(name=["--file", "-f"])] = None,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
    device: str = "auto",
) -> None:
    """Ask a trained network: label, probability and text, one line each, in the order given.

    unrolled decode runs/films-gru-1 "a fine film"

    Without texts and --file, standard input is read, one text a line.

    Parameters
    ----------
    run
        Folder of a run.
    texts
        Texts to answer for.
    file
        CSV, TSV or JSON lines with the run's text column; other rows of it are not needed.
    json_
        Print one JSON object a line, with every label's probability.
    device
        auto, cpu, cuda or mps.
    """
    from unrolled import api

    loaded = api.load(run, device=device)
    if texts and file:
        raise DataError("texts and --file are both given", fix="give one of them")
    if texts:
        source: Iterator[str] = iter(texts)
    elif file:
        source = iter(api.read_texts(file, loaded.config.data).texts())
    else:
        source = _lines()
    while chunk := list(islice(source, CHUNK)):
        for answer in loaded.decode(chunk):
            if json_:
                print(json.dumps(answer.to_dict(), ensure_ascii=False))
            else:
                print(f"{answer.label}\t{answer.probability:.3f}\t{answer.text}")
        sys.stdout.flush()


def _lines() -> Iterator[str]:
    """The lines of standard input, as UTF-8, without their ends."""
    if sys.stdin.isatty():
        print("one text a line; Ctrl-D ends", file=sys.stderr)
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            text = line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise DataError(
                f"byte {error.start} (0x{line[error.start]:02x}) is not UTF-8",
                file="standard input",
                line=number,
                fix="convert the input to UTF-8",
            ) from None
        if not text.strip():
            raise DataError("the text is empty", file="standard input", line=number, fix="take the line out")
        yield text
