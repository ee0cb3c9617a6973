"""Writer of src/unrolled/keywords.py: the types of keyword arguments, from the schemas of settings and options.

python tools/keywords.py           # write the file
python tools/keywords.py --check   # fail where it differs from the schemas

Type checkers and editors read no pydantic schema at a call, so `train(**settings)` is typed by a TypedDict that stands
in a file.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from unrolled.cli.settings import CHOICES, READ_SETTINGS
from unrolled.config import fields
from unrolled.decoding import options

FILE = Path(__file__).parents[1] / "src" / "unrolled" / "keywords.py"
HEAD = '''"""Types of the keyword arguments of `unrolled.train` and the other verbs, for editors and type checkers.

    from unrolled.keywords import Settings

    small: Settings = {"model": "lstm", "hidden_size": 64}
    run = unrolled.train("reviews.csv", **small)

Written by tools/keywords.py from the schemas in `unrolled.config` and `unrolled.decoding.options`: change those.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict

__all__ = ["DecodeKeywords", "EvaluateKeywords", "Settings"]
'''
Row = tuple[str, str, str]  # name, type, description


def source() -> str:
    """Return the content of the file."""
    settings = {
        flat: (kind_of(CHOICES.get(flat), field.annotation), field.description or "") for *_, flat, field in fields()
    }
    read = [(name, optional(settings[name][0]), settings[name][1]) for name in READ_SETTINGS]
    split = ("test_split", "bool", "the data are those of the training: evaluate on their test split")
    blocks = [
        typed(
            "Settings",
            "Types of all settings, by flat name; see `unrolled config`.",
            [(n, *s) for n, s in settings.items()],
        ),
        typed(
            "DecodeKeywords",
            "Options of `decode` of all tasks, each for the tasks that its description names.",
            [*of_verb("decode"), next(row for row in read if row[0] == "on_bad_row")],
        ),
        typed(
            "EvaluateKeywords",
            "Options of `evaluate` of all tasks, and the settings with which data are read for it.",
            [*of_verb("evaluate"), *(row for row in read if row[0] not in options.fields("evaluate")), split],
        ),
    ]
    text = "\n\n".join([HEAD, *blocks])
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(FILE), "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def of_verb(verb: options.Verb) -> Iterator[Row]:
    """Yield the options of a verb; None stands for an option's default."""
    for name, by_task in options.fields(verb).items():
        field = next(iter(by_task.values()))
        kind = kind_of(None, field.annotation).replace("tuple[str, ...]", "str | Sequence[str]")  # one or several
        of = "" if len(by_task) == len(options.OPTIONS[verb]) else f"task {' and '.join(by_task)}: "
        yield name, optional(kind), of + (field.description or "")


def optional(kind: str) -> str:
    """Return a type that allows None."""
    return kind if kind.endswith("| None") else f"{kind} | None"


def kind_of(choices: tuple[str, ...] | None, annotation: Any) -> str:
    """Return a type as source. choices: the texts that are allowed, where the schema checks them by itself."""
    if choices is not None:
        return f"Literal[{', '.join(map(json.dumps, choices))}]" + (
            " | None" if type(None) in get_args(annotation) else ""
        )
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return f"Literal[{', '.join(map(json.dumps, arguments))}]"
    if origin in (Union, types.UnionType):
        return " | ".join(kind_of(None, each) for each in arguments)
    if annotation is type(None):
        return "None"
    return str(annotation) if origin else str(annotation.__name__)


def typed(name: str, docstring: str, rows: list[Row]) -> str:
    """Return a TypedDict as source, with a description below each key, as editors show it."""
    lines = [f"class {name}(TypedDict, total=False):", f'    """{docstring}"""', ""]
    for key, kind, description in rows:
        lines.append(f"    {key}: {kind}")
        lines += textwrap.wrap(f'"""{description}."""', 112, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the file, or check it."""
    if "--check" not in sys.argv[1:]:
        FILE.write_text(source(), encoding="utf-8")
    elif FILE.read_text(encoding="utf-8") != source():
        sys.exit(f"{FILE} differs from the schemas: python tools/keywords.py")


if __name__ == "__main__":
    main()
