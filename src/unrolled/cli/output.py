"""What every verb has: the flag --json, one way to print JSON, and how to name a command to try."""

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
    """Print one value as one line of JSON; only where standard output is not UTF-8, the rest is escaped."""
    print(json.dumps(value, ensure_ascii=sys.stdout.encoding.lower() not in ("utf-8", "utf8")))


def decode_command(run: Path | None, ask: str) -> str:
    """Return the command that asks a run, as it can be typed here: after `.venv/bin/unrolled …` it begins so, too."""
    program = Path(sys.argv[0])
    typed = str(program) if program.name == "unrolled" and not program.is_absolute() else "unrolled"
    return f"{shlex.quote(typed)} decode {shlex.quote(str(run))} {ask}"
