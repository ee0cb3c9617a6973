"""Messages about settings that do not validate."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from unrolled.config.config import MODEL_NAME, SECTIONS, Config, fields
from unrolled.config.synonyms import suggestion
from unrolled.errors import excerpt

__all__ = ["sentences"]


def sentences(error: ValidationError, file: str | None = None, text: str = "") -> Iterator[str]:
    """Yield a sentence for each problem that pydantic reports: location, problem, value.

    Args:
        error: error of pydantic.
        file, text: name and contents of the TOML file, if the settings were read from one.
    """
    for problem in error.errors(include_url=False):
        *path, key = [str(name) for name in problem["loc"]] or [MODEL_NAME]
        where = ""
        if file is not None:
            where = f"{file}, line {_line_of(text, path[0] if path else None, key)}: "
        if problem["type"] == "extra_forbidden":
            schema = SECTIONS.get(path[0], Config) if path else Config
            homes = {name: f"in [{section}]" if section else "before the sections" for section, name, _, _ in fields()}
            remedy = f"; it belongs {homes[key]}" if key in homes else suggestion(key, schema.model_fields)
            yield f'{where}unknown setting "{key}"{remedy}'
        elif problem["type"] == "value_error":  # one of our own, from the lineage
            yield f"{where}{problem['ctx']['error']}"
        elif key in SECTIONS and isinstance(problem["input"], str):
            name = "name" if key == "model" else "…"
            yield f'{where}{key} is a section: write [{key}], and below it {name} = "{excerpt(problem["input"], 40)}"'
        else:
            message = problem["msg"].removeprefix("Input ")
            yield f"{where}{key} {message}{_reason(path, key, problem['type'])}: got {excerpt(repr(problem['input']))}"


def _reason(path: Sequence[str], key: str, problem: str) -> str:
    """Return the reason for the bound of a setting, in parentheses; "" where it needs none."""
    schema = SECTIONS.get(path[-1]) if path else None
    extra = schema.model_fields[key].json_schema_extra if schema and key in schema.model_fields else None
    return f" ({extra['reason']})" if problem == "less_than_equal" and isinstance(extra, dict) else ""


def _line_of(text: str, section: str | None, key: str) -> int:
    """Return the physical line on which `key` of `section` is set, or else the first that mentions the key."""
    current: str | None = None
    mentions = []
    for number, line in enumerate(text.split("\n"), start=1):
        if header := re.match(r"\s*\[\s*([\w-]+)\s*\]", line):
            current = header[1]
        if current == section and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
            return number
        if key in line.partition("#")[0]:
            mentions.append(number)
    return mentions[0] if mentions else 1
