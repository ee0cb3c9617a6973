"""What every verb has: the flag --json, and one way to print JSON."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

from cyclopts import Parameter

__all__ = ["Json", "print_json"]

Json = Annotated[bool, Parameter(name="--json", negative="", show_default=False)]


def print_json(value: Any) -> None:
    """Print one value as one line of JSON; only where standard output is not UTF-8, the rest is escaped."""
    print(json.dumps(value, ensure_ascii=sys.stdout.encoding.lower() not in ("utf-8", "utf8")))
