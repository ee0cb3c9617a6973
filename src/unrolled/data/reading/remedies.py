"""Shell commands that messages give as remedies, complete with the names of the files."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

__all__ = ["folder_converting", "labels_behind", "line_feeds", "object_lines", "renaming", "rewriting", "tabs_for_bars"]

REPEATED = 3  # occurrences of a label on average
UNPACKERS = {".gz": "gzip -dc", ".xz": "xz -dc", ".bz2": "bzip2 -dc"}


def rewriting(command: str, file: str, part: str, extension: str = "") -> str:
    """Return the command that reads a file, unpacked, and writes what `command` makes of it into a new one.

    Args:
        command: a filter.
        file: the name of its input; the filter alone is returned if this is no file.
        part: part of the new name before its extension; "" for none.
        extension: the new one; "": as before.
    """
    path = Path(file)
    if not path.is_file():
        return command
    unpack = UNPACKERS.get(path.suffix.lower())
    name = path.with_suffix("") if unpack else path
    new = name.with_name(f"{name.stem}{part and f'.{part}'}{extension or name.suffix}")
    old, written = shlex.quote(file), shlex.quote(str(new))
    return f"{unpack} {old} | {command} > {written}" if unpack else f"{command} < {old} > {written}"


def line_feeds(file: str) -> str:
    """Return the command that ends lines with a line feed in place of a carriage return."""
    return rewriting("tr '\\r' '\\n'", file, "lines")


def object_lines(line: str, file: str) -> str:
    """Return the command that writes the values of a file as objects of JSON lines; `line` is one of its lines."""
    if line.startswith("{'"):  # as Python writes a dict
        program = "import sys, ast, json; [print(json.dumps(ast.literal_eval(line))) for line in sys.stdin]"
        return rewriting(f"python -c {shlex.quote(program)}", file, "lines")
    return rewriting("""jq -c 'if type == "array" then .[] else . end'""", file, "lines")


def folder_converting(folder: Path, new: Path) -> str:
    """Return the command that writes the files of a folder into a new one as UTF-8, of which some are Windows-1252."""
    program = (
        "import sys, codecs, pathlib; old, new = map(pathlib.Path, sys.argv[1:]); "
        'codecs.register_error("other", lambda e: (e.object[e.start:e.end].decode("cp1252", "replace"), e.end)); '
        "[((new / f.relative_to(old)).parent.mkdir(parents=True, exist_ok=True), "
        '(new / f.relative_to(old)).write_bytes(f.read_bytes().decode("utf-8", "other").encode())) '
        'for f in old.rglob("*") if f.is_file()]'
    )
    return f"python -c {shlex.quote(program)} {shlex.quote(str(folder))} {shlex.quote(str(new))}"


def tabs_for_bars(file: str) -> str:
    """Return the command that writes a tab in place of the ` ||| ` between a source and its target."""
    program = '{i = index($0, " ||| "); print substr($0, 1, i - 1) "\\t" substr($0, i + 5)}'
    return rewriting(f"awk {shlex.quote(program)}", file, "pairs")


def labels_behind(lines: Sequence[str], file: str) -> str | None:
    """Return the command that writes a table of texts and labels, if the first word of each line seems to be its label.

    Args:
        lines: the first lines of the file.
        file: name of the file.
    """
    first = [line.partition(" ")[0] for line in lines if line.strip()]
    if not 1 < REPEATED * len(set(first)) <= len(first) or any(
        " " not in line.strip() for line in lines if line.strip()
    ):
        return None
    program = 'BEGIN {print "text\\tlabel"} NF {i = index($0, " "); print substr($0, i + 1) "\\t" substr($0, 1, i - 1)}'
    return rewriting(f"awk {shlex.quote(program)}", file, "", ".tsv")


def renaming(file: str, extension: str, *, packed: bool = False) -> str:
    """Return the command that gives a file another extension, or adds that of its compression."""
    path = Path(file)
    new = f"{file}{extension}" if packed else str(path.with_suffix(extension))
    return f"mv {shlex.quote(file)} {shlex.quote(new)}"
