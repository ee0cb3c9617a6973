"""`unrolled runs`: the runs in a folder, or one run in full."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from unrolled.cli.checks import check_file
from unrolled.cli.output import Json, decode_command, print_json
from unrolled.cli.wrapping import width_of, wrapped
from unrolled.config import Config
from unrolled.errors import ConfigError, printable
from unrolled.lineage import TASKS
from unrolled.strings import counted

if TYPE_CHECKING:
    from unrolled.runs.listing import Entry

__all__ = ["command"]

FOLDER = Path("runs")
UNITS = ("B", "kB", "MB", "GB", "TB")


def command(
    folders: Annotated[list[Path] | None, Parameter(negative="")] = None,
    /,
    *,
    task: Literal[tuple(each.name for each in TASKS)] | None = None,  # type: ignore[valid-type]
    sort: Literal["date", "score"] = "date",
    json: Json = False,
) -> None:
    """List trained networks and interrupted trainings, or show one in full.

    unrolled runs

    unrolled runs --task classify --sort score

    unrolled runs runs/films-gru-1

    Each has its task, model, data, score on the test split, size and date. An interrupted training has its progress
    and the command that resumes it; a damaged run has the reason.

    Parameters
    ----------
    folders
        Folders of runs, or runs; default: runs. One run alone is shown in full.
    task
        List only runs of this task.
    sort
        Order: date (the newest last), or score (task by task, the best first).
    json
        Print JSON: a list, or the whole record of one run.
    """
    from unrolled.runs.listing import entries, entry_of, is_listed, sorted_entries

    for folder in folders or ():
        check_file(str(folder))
        if not folder.is_dir():
            raise ConfigError(f"{folder} is a file: give a run, or a folder of runs")
    if folders and len(folders) == 1 and is_listed(folders[0]):
        _show(entry_of(folders[0]), folders[0], json)
        return
    found: list[Entry] = []
    for folder in folders or ([FOLDER] if FOLDER.is_dir() else []):
        found += [entry_of(folder)] if is_listed(folder) else entries(folder)
    listed = sorted_entries([entry for entry in found if task is None or entry.task in (None, task)], sort)
    if json:
        print_json([entry.to_dict() for entry in listed])
    elif listed:
        _print_table(listed)
    else:
        where = ", ".join(map(str, folders or [FOLDER]))
        print(f"No runs{f' of task {task}' if task else ''} in {printable(where)}. `unrolled train DATA` makes one.")


def _print_table(listed: Sequence[Entry]) -> None:
    """Print a line for each run, or its path and indented lines where a line is too long for the terminal."""
    cells = [_cells(entry) for entry in listed]
    widths = [max(map(len, column)) for column in zip(*(row for row in cells if len(row) > 2), strict=True)]
    first = max(len(row[0]) for row in cells)
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, (first, *widths[1:]), strict=False)).rstrip()
        for row in cells
    ]
    room = width_of(sys.stdout)
    narrow = room is not None and any(len(line) > room for line in lines)
    for row, line, entry in zip(cells, lines, listed, strict=True):
        print(row[0] if narrow else line)
        if narrow:
            print(wrapped("  ".join(cell for cell in row[1:] if cell), room, indent="    "))
        if entry.resume:
            print(f"    resume: {printable(entry.resume)}")


def _cells(entry: Entry) -> list[str]:
    """Return the columns of a run; of a damaged one its path and the reason."""
    path = printable(entry.path)
    if entry.problem is not None:
        return [path, f"damaged: {printable(entry.problem)}"]
    names = [printable(name or "") for name in (entry.task, entry.model, entry.data)]
    return [path, *names, _score(entry), _size(entry.bytes or 0), (entry.date or "")[:16]]


def _score(entry: Entry) -> str:
    """Return the score with its interval, or the progress of a training."""
    if entry.state != "finished":
        of = "" if entry.updates is None else f" of {entry.updates:,}"
        return f"{entry.state}, update {entry.update or 0:,}{of}"
    headline = entry.headline
    if entry.score is None or headline is None:
        return "no score"
    interval = ""
    if entry.interval is not None:
        low, high = (format(bound, headline.form) for bound in entry.interval)
        interval = f" ({low} to {high})"
    return f"{headline.words} {entry.score:{headline.form}}{interval}"


def _size(size: float) -> str:
    for unit in UNITS:
        if size < 1000 or unit == UNITS[-1]:
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def _show(entry: Entry, folder: Path, json: bool) -> None:
    """Print one run in full.

    Raises:
        ConfigError: it is damaged.
    """
    if entry.problem is not None:
        raise ConfigError(entry.problem)
    if entry.state != "finished":
        _show_training(entry, folder, json)
        return
    from unrolled.runs.folder import describe

    _, config, record = describe(folder)
    if json:
        print_json({"run": entry.path, **entry.to_dict(), **record})
        return
    result = record["result"] or {}
    print(f"{printable(entry.path)}\n")
    _print_pairs(
        "",
        [
            *_about(entry, config),
            ("parameters", f"{entry.parameters:,}"),
            *([("started from", record["start"])] if record.get("start") else []),
            ("score", _score(entry)),
        ],
    )
    _print_pairs("Data", _data(record["data"]))
    _print_pairs("Settings that differ from the defaults", [*config.differing().items()])
    if not record.get("imported"):
        _print_pairs("Training", _training(record))
    _print_pairs("Result on the test split", _figures(result))
    print(f"\ntry: {printable(decode_command(folder, '--help'))}")


def _training(record: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield the figures of a run's training."""
    from unrolled.runs.card import kept_model

    training, machine = record["training"], record["machine"]
    yield "end", training["stopped"]
    yield "kept", f"{kept_model(training)} of {training['updates']:,}"
    yield "speed", f"{training['tokens_per_second']:,.0f} tokens/s"
    yield "machine", f"{machine['processor']}, {counted(machine['threads'], 'thread')}"


def _show_training(entry: Entry, folder: Path, json: bool) -> None:
    from unrolled.runs.listing import read_plan

    plan = read_plan(folder)
    if json:
        print_json({"run": entry.path, **entry.to_dict(), **plan.model_dump(mode="json")})
        return
    print(f"{printable(entry.path)}\n")
    _print_pairs("", [*_about(entry, plan.config), ("state", _score(entry))])
    _print_pairs("Data", _data(plan.data.model_dump(mode="json")))
    _print_pairs("Settings that differ from the defaults", [*plan.config.differing().items()])
    if entry.resume:
        print(f"\nresume: {printable(entry.resume)}\nend:    {printable(entry.resume)} --finish")


def _about(entry: Entry, config: Config) -> list[tuple[str, object]]:
    cell = f", cell {config.model.cell}" if config.model.cell else ""
    return [
        ("task", entry.task),
        ("model", f"{entry.model}{cell}"),
        ("date", (entry.date or "")[:16]),
        ("size", _size(entry.bytes or 0)),
    ]


def _data(data: dict[str, Any]) -> Iterator[tuple[str, object]]:
    sources = data["source"] if isinstance(data["source"], list) else [data["source"]]
    yield "name", data["name"]
    yield "source", ", ".join(sources)
    if "how" in data:
        yield "split", data["how"]
    for name, split in data.get("splits", {}).items():
        figures = [f"{value:,} {key}" for key, value in split.items() if type(value) is int]
        yield name, ", ".join(figures)


def _figures(result: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield the numbers of a result, with their intervals."""
    for name, value in result.items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            interval = result.get(f"{name}_interval")
            shown = f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
            match interval:
                case [int() | float() as low, int() | float() as high]:
                    shown += f" ({low:.4g} to {high:.4g})"
            yield name, shown


def _print_pairs(title: str, pairs: Sequence[tuple[str, object]] | Iterator[tuple[str, object]]) -> None:
    """Print names and values below a title; nothing without values."""
    rows = [(printable(name), printable(str(value))) for name, value in pairs]
    if rows and title:
        print(f"\n{title}")
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        print(f"  {name.ljust(width)}  {value}")
