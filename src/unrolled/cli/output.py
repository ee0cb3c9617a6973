"""Output shared by all verbs: the flag --json, printing of JSON, and commands to try."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

__all__ = ["Json", "decode_command", "print_json"]

Json = Annotated[bool, Parameter(name="--json", negative="", show_default=False)]


def print_json(value: Any) -> None:
    """Print a value as one line of JSON; characters beyond ASCII are escaped where standard output is not UTF-8."""
    print(json.dumps(value, ensure_ascii=(sys.stdout.encoding or "utf-8").lower() not in ("utf-8", "utf8")))


def decode_command(run: Path | None, arguments: str) -> str:
    """Return a `decode` command for a run, with the program as it was typed (`unrolled` or `.venv/bin/unrolled`)."""
    program = Path(sys.argv[0])
    typed = str(program) if program.name == "unrolled" and not program.is_absolute() else "unrolled"
    return f"{shlex.quote(typed)} decode {shlex.quote(str(run))} {arguments}"
