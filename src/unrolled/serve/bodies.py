"""Bodies of requests: read within limits of size and time, and strict JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

from starlette.requests import Request

from unrolled.errors import excerpt, nearest
from unrolled.serve.limits import Limits
from unrolled.serve.refusals import RequestError

__all__ = ["ClientGoneError", "json_of", "only", "read"]


class ClientGoneError(Exception):
    """The client has closed its connection."""


async def read(request: Request, limits: Limits) -> bytes:
    """Return the body of a request.

    Raises:
        RequestError: it is too large, or takes too long.
        ClientGoneError: the client has left.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limits.body_bytes:
        raise _too_large(limits)
    first = await _message(request, limits)
    if not first.get("more_body", False):
        body = first.get("body", b"")
        if len(body) > limits.body_bytes:
            raise _too_large(limits)
        return bytes(body)
    parts, size = [first.get("body", b"")], len(first.get("body", b""))
    deadline = asyncio.get_running_loop().time() + limits.read_seconds
    more = True
    while more:
        message = await _message(request, limits, deadline)
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limits.body_bytes:
            raise _too_large(limits)
        more = message.get("more_body", False)
    return b"".join(parts)


async def _message(request: Request, limits: Limits, deadline: float | None = None) -> Any:
    try:
        async with asyncio.timeout_at(deadline or asyncio.get_running_loop().time() + limits.read_seconds):
            message = await request.receive()
    except TimeoutError:
        raise RequestError(408, "the request was not sent in time") from None
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    return message


def _too_large(limits: Limits) -> RequestError:
    return RequestError(413, f"the body of a request has at most {limits.body_bytes:,} bytes on this server")


async def json_of(request: Request, limits: Limits) -> dict[str, Any]:
    """Return the body of a request as a JSON object.

    Raises:
        RequestError: it is not JSON in UTF-8, no object, or has a number or text that JSON does not allow.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RequestError(
            415, "the body must be JSON", field="Content-Type", hint="send Content-Type: application/json"
        )
    body = await read(request, limits)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RequestError(400, f"byte {error.start} (0x{body[error.start]:02x}) of the body is not UTF-8") from None
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise RequestError(400, "the JSON is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise RequestError(400, f"the body is not JSON: {error.msg} at character {error.pos + 1}") from None
    except ValueError as error:  # NaN, or an integer of thousands of digits
        raise RequestError(400, f"the body is not JSON: {excerpt(str(error))}") from None
    if not isinstance(value, dict):
        raise RequestError(400, 'the body must be a JSON object, such as {"inputs": "a text"}')
    if "\\u" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise RequestError(422, "the body holds an unpaired surrogate, which is not Unicode") from None
    return value


def only(body: dict[str, Any], known: Iterable[str]) -> None:
    """Refuse a field that the route does not have.

    Raises:
        RequestError: names the field and the nearest.
    """
    names = [*known]
    for name in body:
        if name not in names:
            raise RequestError(422, f'unknown field "{excerpt(name)}"{nearest(name, names)}', field=excerpt(name))


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number of JSON")
