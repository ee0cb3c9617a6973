"""`unrolled decode`: answers for texts, from arguments, a file or standard input."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from unrolled.cli.output import Json, print_json
from unrolled.cli.settings import DeviceFlag, TextSettings, given
from unrolled.errors import ConfigError, DataError, printable

__all__ = ["command"]

CHUNK = 512  # texts that are answered together
READ = 1 << 16  # bytes of standard input that are asked for at once


def command(
    run: Path,
    /,
    *texts: str,
    file: Annotated[Path | None, Parameter(name=["--file", "-f"])] = None,
    json: Json = False,
    device: DeviceFlag = "auto",
    settings: TextSettings = None,
) -> None:
    """Ask a trained network: label, probability and text, one line each, in the order given.

    unrolled decode runs/films-gru-1 "a fine film"

    unrolled decode runs/films-gru-1 --file new.csv --json > answers.jsonl

    Without texts and --file, standard input is read, one text a line. Texts that begin with - stand behind a --.

    Parameters
    ----------
    run
        Folder of a run.
    texts
        Texts to answer for.
    file
        CSV, TSV or JSON lines with the run's text column; it needs no labels.
    json
        Print one JSON object a line, with every label's probability.
    device
        Where to compute.
    """
    if texts and file:
        raise ConfigError("texts and --file are both given: give one of them")
    if settings is not None and not file:
        raise ConfigError(f"{', '.join(given(settings))} is about --file, and none is given: leave it out")
    from unrolled import api
    from unrolled.cli.progress import show_log

    with show_log():
        loaded: Any = api.load(run, device=device)
        if texts:
            chunks = iter([list(texts)])
        elif file:
            chunks = _chunks(iter(loaded.read_texts(file, **given(settings))))
        else:
            chunks = _standard_input()
        for chunk in chunks:
            for answer in loaded.decode(chunk):
                if json:
                    print_json(answer.to_dict())
                else:
                    print(f"{printable(answer.label)}\t{answer.probability:.3f}\t{printable(answer.text)}")
            sys.stdout.flush()


def _chunks(texts: Iterator[str]) -> Iterator[list[str]]:
    while chunk := list(islice(texts, CHUNK)):
        yield chunk


def _standard_input() -> Iterator[list[str]]:
    """The lines of standard input as UTF-8, without their ends, as they come: those before a bad one are answered."""
    if sys.stdin.isatty():
        print("one text a line; Ctrl-D ends", file=sys.stderr)
    descriptor, number, rest = sys.stdin.fileno(), 0, b""
    while True:
        read = os.read(descriptor, READ)  # returns what is there, so that who types a line is answered at once
        *lines, rest = (rest + read).split(b"\n")
        if not read and rest:  # the last line has no end
            lines = [rest]
        chunk: list[str] = []
        for line in lines:
            number += 1
            fault = _fault(line, number)
            if fault:
                yield chunk
                raise fault
            chunk.append(line.removesuffix(b"\r").decode("utf-8-sig" if number == 1 else "utf-8"))
        yield from _chunks(iter(chunk))
        if not read:
            return


def _fault(line: bytes, number: int) -> DataError | None:
    """What is wrong with a line of standard input, if anything."""
    try:
        empty = not line.decode().strip()
    except UnicodeDecodeError as error:
        problem, fix = f"byte {error.start} (0x{line[error.start]:02x}) is not UTF-8", "convert the input to UTF-8"
    else:
        problem, fix = "the text is empty", "take the line out"
        if not empty:
            return None
    return DataError(problem, file="standard input", line=number, fix=fix)
