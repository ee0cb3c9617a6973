"""`unrolled decode`: answers for inputs from arguments, a file or standard input."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from unrolled.cli.output import Json, print_json
from unrolled.cli.settings import (
    READ_SETTINGS,
    DataName,
    DecodeOptions,
    DeviceFlag,
    Others,
    TextSettings,
    passed_flags,
    refuse_unused,
    task_group,
)
from unrolled.decoding.options import OPTIONS, GenerationOptions
from unrolled.errors import ConfigError, DataError

__all__ = ["command"]

CHUNK = 512  # texts answered together
READ_BYTES = 1 << 16  # of standard input, at once


def command(
    run: Path,
    /,
    *texts: str,
    file: Annotated[DataName | None, Parameter(name=["--file", "-f"])] = None,
    json: Json = False,
    device: DeviceFlag = "auto",
    others: Others = None,
    settings: TextSettings = None,
    prompt: Annotated[list[str] | None, Parameter(group=task_group("generate"), negative="")] = None,
    options: DecodeOptions = None,
) -> None:
    """Print the answers of a trained network: a label for each text, word or image, a translation, or a continuation.

    unrolled decode runs/films-gru-1 "a fine film"

    unrolled decode runs/films-gru-1 --file new.csv --json > answers.jsonl

    unrolled decode runs/films-gru-1 "a fine film" --with runs/films-lstm-1

    unrolled decode runs/digits-lstm-1 three.png four.png

    unrolled decode runs/letters-attention-1 "unrolled" --beam 5 --n-best 3

    unrolled decode runs/shakespeare-gru-1 --prompt "ROMEO:" --length 300 --temperature 0.8

    Answers are printed in the order of the inputs. Without texts, prompts and --file, standard input is read, one text
    (or image file) a line. Put texts that begin with - after --.

    Parameters
    ----------
    run
        Folder of a run.
    texts
        Texts to label, translate or continue; or image files.
    file
        CSV, TSV or JSON lines with the run's column of texts or sources, CoNLL-U or a word a line (task tag), an IDX
        file or folder of images, or a sample's name; needs no labels.
    json
        Print one JSON object a line, with every field of the answer.
    device
        Device to compute on.
    others
        Folder of another run of the same task, with which the answers are averaged (an ensemble): the same labels, or
        the same tokeniser where text is written. May be repeated.
    prompt
        Text to continue; may be repeated; "" starts a new text.
    """
    inputs = [*texts, *(prompt or ())]
    if inputs and file:
        raise ConfigError("pass either texts or --file, not both")
    if settings is not None and not file:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in passed_flags(settings))
        raise ConfigError(f"only --file uses {flags}: add --file, or remove it")
    from unrolled import api, tasks
    from unrolled.cli.progress import show_log

    with show_log():
        loaded: Any = api.ensemble([run, *(others or ())], device=device)
        task = loaded.config.task
        schema, chosen = OPTIONS["decode"][task], passed_flags(options)
        schema.parse(chosen, task=task)  # refuses before anything is read
        named = [*passed_flags(settings), *(["file"] if file else []), *(["prompt"] if prompt else [])]
        refuse_unused(named, [*tasks.find(loaded.config).unused, "file" if task == "generate" else "prompt"], task)
        reads = {name: chosen[name] for name in READ_SETTINGS if name in chosen}  # they decide which inputs can be read
        chunks: Iterator[Any]
        if file and loaded.config.data.by:  # images, which decode reads itself
            chunks, chosen = iter([file]), passed_flags(settings)
        elif file:
            chunks = _chunks(iter(loaded.read_texts(file, **passed_flags(settings), **reads)))
        else:
            chunks = iter([inputs]) if inputs else _standard_input(partial(loaded.refuse, **reads))
        for chunk in chunks:
            if json:
                for answer in loaded.decode(chunk, **chosen):
                    print_json(answer.to_dict())
            elif task == "generate":
                _write(loaded, chunk, chosen)
            else:
                for answer in loaded.decode(chunk, **chosen):
                    print(answer.shown())
            sys.stdout.flush()


def _write(run: Any, prompts: Iterable[str], options: dict[str, Any]) -> None:
    """Print each prompt and its continuation, piece by piece."""
    length = GenerationOptions.parse(options, task="generate").length  # a stream's own default is endless
    for prompt in prompts:
        pieces = run.stream(prompt, **options | {"length": length})  # refuses before anything is written
        print(prompt, end="", flush=True)
        for piece in pieces:
            print(piece, end="", flush=True)
        print()


def _chunks(texts: Iterator[str]) -> Iterator[list[str]]:
    """Yield texts in lists of at most CHUNK."""
    while chunk := list(islice(texts, CHUNK)):
        yield chunk


def _standard_input(refuse: Callable[[str], None]) -> Iterator[list[str]]:
    """Yield lists of lines of standard input, without their ends, as they arrive.

    Lines before a bad one are yielded first, so that they are answered.

    Args:
        refuse: raises DataError for a text that the run cannot answer.

    Raises:
        DataError: names the line that is empty, not UTF-8, or refused.
    """
    if sys.stdin.isatty():
        print("one text a line; Ctrl-D ends", file=sys.stderr)
    descriptor, number, rest = sys.stdin.fileno(), 0, b""
    while True:
        read = os.read(descriptor, READ_BYTES)  # returns at once, so that each typed line is answered
        *lines, rest = (rest + read).split(b"\n")
        if not read and rest:  # the last line may have no end
            lines = [rest]
        chunk: list[str] = []
        for line in lines:
            number += 1
            try:
                text = _text(line.removesuffix(b"\r"), "utf-8-sig" if number == 1 else "utf-8")
                refuse(text)
            except DataError as error:
                yield from _chunks(iter(chunk))
                raise DataError(
                    error.problem, file="standard input", line=number, row=error.row, fix=error.fix
                ) from None
            chunk.append(text)
        yield from _chunks(iter(chunk))
        if not read:
            return


def _text(line: bytes, encoding: str) -> str:
    """Return a line of standard input as text.

    Raises:
        DataError: the line is empty, or not in this encoding.
    """
    try:
        text = line.decode(encoding)
    except UnicodeDecodeError as error:
        problem = f"byte {error.start} (0x{error.object[error.start]:02x}) is not UTF-8"
        raise DataError(problem, fix="convert the input to UTF-8") from None
    if not text.strip():
        raise DataError("the text is empty", fix="remove the line")
    return text
