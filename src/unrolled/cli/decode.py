"""`unrolled decode`: answers for inputs from arguments, a file or standard input."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from unrolled.cli.checks import check_file, check_run, unused_by
from unrolled.cli.decode_files import decode_files
from unrolled.cli.output import Json, print_json
from unrolled.cli.settings import (
    ANSWERS,
    READ_SETTINGS,
    AnswerFlags,
    DataName,
    DecodeOptions,
    DeviceFlag,
    Others,
    TextSettings,
    ThreadsFlag,
    checked_threads,
    flags_of_other_tasks,
    passed_flags,
    refuse_unused,
    task_group,
)
from unrolled.config import Choice, DataConfig, Device, spelled
from unrolled.data.reading.addresses import is_file
from unrolled.decoding.options import OPTIONS, GenerationOptions
from unrolled.errors import ConfigError, DataError

__all__ = ["command"]

log = logging.getLogger("unrolled.cli")

CHUNK = 512  # texts answered together
Texts = list[str | None]
"""Texts to answer; None for a blank line of a text a line."""
READ_BYTES = 1 << 16  # at once


def command(
    run: Path,
    /,
    *texts: str,
    file: Annotated[list[DataName] | None, Parameter(name=["--file", "-f"], negative="")] = None,
    json: Json = False,
    device: DeviceFlag = "auto",
    threads: ThreadsFlag = None,
    others: Others = None,
    settings: TextSettings = None,
    prompt: Annotated[list[str] | None, Parameter(group=task_group("generate"), negative="")] = None,
    out: Annotated[Path | None, Parameter(group=ANSWERS, show_default=False)] = None,
    columns: AnswerFlags = None,
    options: DecodeOptions = None,
) -> None:
    """Print the answers of a trained network: a label for each text, word or image, a translation, or a continuation.

    unrolled decode runs/films-gru-1 "a fine film"

    unrolled decode runs/films-gru-1 --file new.csv --json > answers.jsonl

    unrolled decode runs/films-gru-1 --file 'new/*.parquet' --out answers

    unrolled decode runs/digits-lstm-1 three.png four.png --top 3

    unrolled decode runs/films-gru-1 "a fine film" --with runs/films-lstm-1

    unrolled decode runs/letters-attention-1 "unrolled" --beam 5 --n-best 3

    unrolled decode runs/shakespeare-gru-1 --prompt "ROMEO:" --length 300 --temperature 0.8

    Answers are printed in the order of the inputs. Without texts, prompts and --file, standard input is read, one text
    (or image file) a line; the answer to a blank line is an empty line. Put texts that begin with - after --.

    Parameters
    ----------
    run
        Folder of a run.
    texts
        Texts to label, translate or continue; or image files.
    file
        CSV, TSV, TXT or JSON lines with the run's column of texts or sources, CoNLL-U or a word a line (task tag), a
        source a line (task translate), an IDX file or folder of images, or the name of a sample or of a synthetic
        task; needs no labels. With --out also a folder or a pattern of files, and repeated.
    json
        Print one JSON object a line, with every field of the answer.
    device
        Device to compute on.
    threads
        CPU threads; default: chosen by PyTorch.
    others
        Folder of another run of the same task, with which the answers are averaged (an ensemble): the same labels, or
        the same tokeniser where text is written. May be repeated.
    prompt
        Text to continue; may be repeated; "" starts a new text.
    out
        Folder for the answers: every row of each file with its answer, in a file of the same name, by all cores. The
        same command resumes after an interruption.
    """
    inputs = [*texts, *(prompt or ())]
    if inputs and file:
        raise ConfigError("pass either texts or --file, not both")
    if settings is not None and not file:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in passed_flags(settings))
        raise ConfigError(f"only --file uses {flags}: add --file, or remove it")
    runs = [run, *(others or ())]
    if out is not None:
        how = passed_flags(columns) | passed_flags(settings) | passed_flags(options)
        decode_files(runs, file or (), out, how, threads=threads, device=device, json=json)
        return
    if unused := passed_flags(columns):
        raise ConfigError(f"only --out uses {', '.join(map(spelled, unused))}: add --out FOLDER, or remove it")
    if len(file or ()) > 1:
        raise ConfigError("several files are answered with --out FOLDER: add it, or name one file")
    _decode(
        runs,
        inputs,
        "".join(file or ()),
        passed_flags(settings),
        passed_flags(options),
        prompts=bool(prompt),
        threads=threads,
        device=device,
        json=json,
    )


def _decode(
    runs: list[Path],
    inputs: list[str],
    file: str,
    settings: dict[str, Any],
    chosen: dict[str, Any],
    *,
    prompts: bool,
    threads: int | None,
    device: Device,
    json: bool,
) -> None:
    """Print the answers for inputs, for a file (unless ""), or for standard input, with these settings and options."""
    if file:
        check_file(file)
    threads = checked_threads(threads)
    config, *_ = map(check_run, runs)
    task = config.task
    OPTIONS["decode"][task].parse(chosen, task=task)
    named = [*settings, *(["file"] if file else []), *(["prompt"] if prompts else [])]
    refuse_unused(named, [*unused_by(config), *flags_of_other_tasks(task)], task)
    from unrolled import api, machine
    from unrolled.cli.progress import show_log
    from unrolled.runs.texts import TextRun
    from unrolled.scoring.answers import NO_ANSWER

    with show_log(), machine.use_threads(threads):
        loaded: Any = api.ensemble(runs, device=device)
        if loaded.temperature != 1:
            log.info("probabilities at temperature %.3g, which was fitted on the validation split", loaded.temperature)
        reads = {name: chosen[name] for name in READ_SETTINGS if name in chosen}  # they decide which inputs can be read
        chunks: Iterator[Any]
        if file and loaded.config.data.by:  # images, which decode reads itself
            chunks, chosen = iter([file]), settings | chosen
        elif file and task == "translate" and not settings and _is_lines(file, loaded.config.data):
            chunks = _file_lines(Path(file), partial(loaded.refuse, **reads))
        elif file:
            chunks = _chunks(iter(loaded.read_texts(file, **settings, **reads)))
        else:
            chunks = iter([inputs]) if inputs else _standard_input(partial(loaded.refuse, **reads))
        unknown, blank, no_answer = 0, 0, NO_ANSWER[Choice.of(config).task]
        for chunk in chunks:
            blank += sum(text is None for text in chunk)
            if isinstance(loaded, TextRun) and isinstance(chunk, list):
                unknown += loaded.count_unknown(text for text in chunk if text is not None)
            if json:
                for answer in _answers(loaded, chunk, chosen):
                    print_json(no_answer if answer is None else answer.to_dict())
            elif task == "generate":
                _write(loaded, chunk, chosen)
            else:
                shown = {"top": chosen["top"]} if "top" in chosen else {}
                for answer in _answers(loaded, chunk, chosen):
                    print("" if answer is None else answer.shown(**shown))
            sys.stdout.flush()
        if unknown:
            log.info("%s", _unknown(unknown))
        if blank:
            log.info(
                "%s", f"{blank:,} blank line{'s'[: blank != 1]} answered by an empty {'answer' if json else 'line'}"
            )


def _unknown(count: int) -> str:
    """Return the note on texts of which the network knows no token."""
    texts, answer = ("1 text", "its answer") if count == 1 else (f"{count:,} texts", "their answer")
    return f"all tokens of {texts} are unknown to the vocabulary: {answer} does not depend on the words"


def _answers(run: Any, texts: Any, options: dict[str, Any]) -> Iterator[Any]:
    """Return the answers of a run in order, None for None; `texts` may also be one file of images."""
    if isinstance(texts, str):
        return iter(run.decode(texts, **options))
    present = [text for text in texts if text is not None]
    answers = iter(run.decode(present, **options) if present else [])
    return (None if text is None else next(answers) for text in texts)


def _write(run: Any, prompts: Iterable[str | None], options: dict[str, Any]) -> None:
    """Print each prompt and its continuation, piece by piece."""
    length = GenerationOptions.parse(options, task="generate").length  # a stream's own default is endless
    for prompt in prompts:
        if prompt is None:
            print()
            continue
        pieces = run.stream(prompt, **options | {"length": length})  # refuses before anything is written
        print(prompt, end="", flush=True)
        for piece in pieces:
            print(piece, end="", flush=True)
        print()


def _chunks(texts: Iterator[str | None]) -> Iterator[Texts]:
    """Yield texts in lists of at most CHUNK."""
    while chunk := list(islice(texts, CHUNK)):
        yield chunk


def _standard_input(refuse: Callable[[str], None]) -> Iterator[Texts]:
    """Yield the lines of standard input as they arrive; see `_lines`."""
    from unrolled.data.reading.stdin import read_stdin

    if sys.stdin.isatty():
        print("one text a line; Ctrl-D ends", file=sys.stderr)
    return _lines(read_stdin, "standard input", refuse)  # returns what has been typed


def _is_lines(source: str, config: DataConfig) -> bool:
    """Return whether a source is a file with a text to translate in each line."""
    from unrolled.data.reading.sources import has_lines

    return is_file(source) and has_lines(Path(source), config)


def _file_lines(path: Path, refuse: Callable[[str], None]) -> Iterator[Texts]:
    """Yield the lines of a file, which may be compressed; see `_lines`."""
    from unrolled.data.reading.files import open_bytes

    with open_bytes(path, str(path)) as file:
        yield from _lines(lambda: file.read(READ_BYTES), str(path), refuse)


def _lines(read_bytes: Callable[[], bytes], name: str, refuse: Callable[[str], None]) -> Iterator[Texts]:
    """Yield lists of lines without their ends, None for a blank one.

    Lines before a bad one are yielded first, so that they are answered.

    Args:
        read_bytes: function that returns the next bytes, none at the end.
        name: name of the source, for messages.
        refuse: function that raises DataError for a text that the run cannot answer.

    Raises:
        DataError: names the line that is not UTF-8, or refused.
    """
    number, rest = 0, b""
    while True:
        read = read_bytes()
        *lines, rest = (rest + read).split(b"\n")
        if not read and rest:  # the last line may have no end
            lines = [rest]
        chunk: Texts = []
        for line in lines:
            number += 1
            try:
                text = _text(line.removesuffix(b"\r"), "utf-8-sig" if number == 1 else "utf-8")
                if text is not None:
                    refuse(text)
            except DataError as error:
                yield from _chunks(iter(chunk))
                raise DataError(error.problem, file=name, line=number, row=error.row, fix=error.fix) from None
            chunk.append(text)
        yield from _chunks(iter(chunk))
        if not read:
            return


def _text(line: bytes, encoding: str) -> str | None:
    """Return a line as text, None if it is blank.

    Raises:
        DataError: the line is not in this encoding.
    """
    try:
        text = line.decode(encoding)
    except UnicodeDecodeError as error:
        problem = f"byte {error.start} (0x{error.object[error.start]:02x}) is not UTF-8"
        raise DataError(problem, fix="convert the input to UTF-8") from None
    return text if text.strip() else None
