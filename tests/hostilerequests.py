"""Requests that hurt: mutations of good ones, and bytes that are hardly HTTP."""

from __future__ import annotations

import json
import random
from typing import Any

__all__ = ["framing", "mutated", "requests"]

Request = tuple[str, str, bytes, dict[str, str]]
VALUES: list[Any] = [
    *(None, True, 0, -1, 2**63, 10**400, 1e308, "", " ", "\x00", "ŧ\U0001f600", "a" * 5_000, [], {}, [[]], [None]),
    *({"a": 1}, "../../../etc/passwd", "sample:films", "hub:x", "-", "<script>", "%s%n", ["the"] * 50, [["a"], ["b"]]),
    [[1, 2], [3]],
]
PIECES = [
    b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\x00", b"\\ud800", b'"', b"{", b"]" * 50, b"[" * 2_000, b"NaN", b"1e999",
    b"9" * 5_000, b"\xef\xbb\xbf",
]  # fmt: skip


def requests(document: dict[str, Any]) -> list[Request]:
    """The examples of an OpenAPI document, and all addresses without a body."""
    found: list[Request] = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if path == "/v1/events":  # it does not end
                continue
            contents = operation.get("requestBody", {}).get("content", {"": {}})
            for kind, content in contents.items():
                body = json.dumps(content["example"]).encode() if "example" in content else b""
                found.append((method.upper(), path, body, {"Content-Type": kind} if kind else {}))
    return found


def mutated(draw: random.Random, request: Request) -> Request:
    """A request with a changed field, changed bytes, another method, path or header; now and then as it was."""
    method, path, body, headers = request
    for _ in range(draw.choice([0, 1, 1, 2])):
        kind = draw.randrange(6)
        if kind <= 1 and body.startswith(b"{"):
            try:
                value = json.loads(body)
            except ValueError:
                continue
            name = draw.choice([*value, "inputs", "input", "top", "length", "x"])
            value[name] = draw.choice(VALUES)
            body = json.dumps(value).encode("utf-8", "replace")
        elif kind == 2:
            place = draw.randrange(len(body) + 1)
            body = body[:place] + draw.choice(PIECES) + body[place + draw.randrange(3) :]
        elif kind == 3:
            method = draw.choice(["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"])
        elif kind == 4:
            path = path.replace(
                draw.choice(["/v1", "runs", "classify", "decode"]), draw.choice(["..", "%00", "%2e", "x"])
            )
        else:
            headers = {**headers, **draw.choice([{"Content-Type": "text/html"}, {"Accept": "*/*"}, {"Origin": "null"}])}
    return method if method != "HEAD" else "GET", path, body, headers


def framing(draw: random.Random) -> bytes:
    """Bytes that are hardly HTTP."""
    body = b'{"inputs": "the"}'
    line = draw.choice(
        [b"POST /v1/runs/classify/decode HTTP/1.1", b"GET /livez HTTP/1.1", b"GET / HTTP/9.9", b"\x00\x01", b"GET", b""]
    )
    lengths = (b"17", b"-1", b"0", b"99999999999999999999", b"abc", b"17\r\nContent-Length: 3", b"1\x00")
    headers = [
        b"Host: localhost",
        b"Content-Type: application/json",
        b"Content-Length: " + draw.choice(lengths),
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: chunked, identity",
        b"Host: evil.example",
        b"X: " + b"a" * draw.choice([10, 100_000]),
        b"X\x00Y: z",
        b"Expect: 100-continue",
        b"Upgrade: websocket\r\nConnection: Upgrade",
        b": nothing",
    ]
    chosen = draw.sample(headers, draw.randint(0, 5))
    chunks = b'5\r\n{"inp\r\n' + draw.choice([b"0\r\n\r\n", b"zz\r\n", b"ffffffffffffffff\r\n", b""])
    data = b"\r\n".join([line, *chosen]) + b"\r\n\r\n" + draw.choice([body, chunks, b"", b"\x00" * 50])
    if draw.random() < 0.3:
        place = draw.randrange(len(data))
        data = data[:place] + bytes([draw.randrange(256)]) + data[place + 1 :]
    return data
