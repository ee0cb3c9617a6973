"""Refusals: every answer that is an error has one JSON shape, {"error", "field", "hint"}, and no traceback.

error  the problem and the value that was got, one sentence
field  the path of the field it is about, such as "inputs[3]" or "top_k"; null if there is none
hint   the remedy; null if the error names it
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from unrolled.errors import DataError, TraceError, UnrolledError, excerpt

__all__ = ["RequestError", "option_refused", "refusal"]


class RequestError(Exception):
    """An answer that is an error.

    Args:
        status: of HTTP, 400 to 599.
        error: the problem, one sentence.
        field: path of the field it is about.
        hint: the remedy.
        headers: further headers, such as Retry-After.
    """

    def __init__(
        self,
        status: int,
        error: str,
        *,
        field: str | None = None,
        hint: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status, self.error, self.field, self.hint = status, error, field, hint
        self.headers = dict(headers or {})
        super().__init__(error)

    def to_dict(self) -> dict[str, str | None]:
        """Return the body of the answer."""
        return {"error": self.error, "field": self.field, "hint": self.hint}


def refusal(error: UnrolledError, *, field: str | None = None) -> RequestError:
    """Return the answer for an error of the package: 422, with the remedy of a DataError as its hint.

    Args:
        error: the error.
        field: path of the field it is about.
    """
    if isinstance(error, DataError):
        number = re.search(r"^(?:text|sentence|source|prompt|image) (\d+) ", error.problem)
        place = f"inputs[{number[1]}]" if field is None and number else field
        row = "" if error.row is None else f': "{excerpt(error.row)}"'
        where = "" if error.line is None else f"{error.unit} {error.line}: "
        return RequestError(422, f"{where}{error.problem}{row}", field=place, hint=error.fix)
    return RequestError(404 if isinstance(error, TraceError) else 422, str(error), field=field)


def option_refused(error: UnrolledError, names: Collection[str]) -> RequestError:
    """Return the answer for a refused option: its field is the first of `names` that the message has."""
    text = str(error)
    found = {name: match.start() for name in names if (match := re.search(rf"\b{re.escape(name)}\b", text))}
    return refusal(error, field=min(found, key=lambda name: found[name], default=None))


def unknown(kind: str, name: Any, known: str = "") -> RequestError:
    """Return the answer for a name that nothing has."""
    return RequestError(404, f'there is no {kind} "{excerpt(str(name))}"', field=kind, hint=known or None)
