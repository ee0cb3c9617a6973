"""Answers as columns next to those of the input: their names, values and types, for each kind of run.

The columns are the fields of `decode --json` without the input itself, and `error`: the reason why a row has no
answer, or null. In tables of text, numbers and texts are written as they are, lists and objects as JSON.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from unrolled.strings import one_line

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ERROR", "NO_ANSWER", "columns_of", "flat", "main_text", "schema_of", "values_of"]

ERROR = "error"
"""The column with the reason why a row has no answer."""
NO_ANSWER: dict[str, dict[str, Any]] = {
    "classify": {"text": "", "label": None, "probability": None, "probabilities": {}},
    "images": {"image": "", "label": None, "probability": None, "probabilities": {}},
    "multi_label": {"text": "", "labels": [], "probabilities": {}},
    "regress": {"text": "", "value": None},
    "tag": {"words": []},
    "translate": {"source": "", "targets": [], "truncated": ""},
    "generate": {"prompt": "", "text": "", "tokens": 0, "ended": None},
}
"""The answer to a blank line as JSON, by kind of run; see `config.Choice`."""
INPUTS = ("text", "image", "source", "prompt")
"""Names of the input in answers."""


def columns_of(kind: str, prefix: str = "") -> tuple[str, ...]:
    """Return the names of the columns of answers.

    Args:
        kind: kind of the run, see `config.Choice`.
        prefix: beginning of each name.
    """
    first, *rest = NO_ANSWER[kind]
    return tuple(prefix + name for name in (*([] if first in INPUTS else [first]), *rest, ERROR))


def values_of(kind: str, answer: Any, error: str | None = None) -> tuple[Any, ...]:
    """Return the values of the columns.

    Args:
        kind: kind of the run.
        answer: an answer of `decode`; None: there is none.
        error: the reason for that, if it is an error.
    """
    values = NO_ANSWER[kind] if answer is None else answer.to_dict()
    return (*(values[name] for name in columns_of(kind)[:-1]), error)


def flat(value: Any) -> str:
    """Return a value as the field of a table: text as it is, "" for None, all else as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def main_text(kind: str, values: tuple[Any, ...]) -> str:
    """Return the answer alone, in one line: label, labels, value, tags, best target or continuation; "" for none."""
    first = values[0]
    if kind == "translate":
        first = first[0]["text"] if first else None
    elif kind == "tag":
        first = " ".join(word["tag"] for word in first)
    elif kind == "multi_label":
        first = ";".join(first)
    return one_line(flat(first))


def schema_of(kind: str, prefix: str = "") -> pa.Schema:
    """Return the columns of answers with their types, for Arrow; see `columns_of`."""
    import pyarrow as pa

    text, number, count = pa.string(), pa.float64(), pa.int64()
    by_label = pa.map_(text, number)
    word = {"word": text, "tag": text, "probability": number, "probabilities": by_label}
    target = {"text": text, "tokens": count, "score": number, "log_probability": number, "ended": text}
    types = {
        "classify": (text, number, by_label),
        "multi_label": (pa.list_(text), by_label),
        "regress": (number,),
        "tag": (pa.list_(pa.struct(word)),),
        "translate": (pa.list_(pa.struct(target)), text),
        "generate": (text, count, text),
    }
    return pa.schema(list(zip(columns_of(kind, prefix), (*types[kind], text), strict=True)))
