"""Guards before every route: Host, Origin, token, rate, and the count of requests under way.

A page of another site that a browser has open can send requests to a server on loopback. It cannot choose the headers
Host and Origin, which name the site; so both must name this server. A request without Origin does not come from a page.
"""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Iterable
from typing import Any

from unrolled.serve.limits import Limits
from unrolled.serve.metrics import Metrics
from unrolled.serve.refusals import RequestError

__all__ = ["LOOPBACK", "Guards", "Rate"]

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
OPEN = frozenset({"/livez", "/readyz"})
"""Routes that need no token: they say nothing but a state."""
HEADERS = [(b"x-content-type-options", b"nosniff"), (b"content-security-policy", b"default-src 'none'")]


class Rate:
    """A bucket of requests for each token, which fills at a rate and holds those of one second.

    Args:
        rate: requests a second; 0: not limited.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait(self, who: str) -> float:
        """Take one request from the bucket of a token; return the seconds to wait, 0 if it may pass."""
        if not self.rate:
            return 0.0
        now = time.monotonic()
        left, at = self._buckets.get(who, (max(1.0, self.rate), now))
        left = min(max(1.0, self.rate), left + (now - at) * self.rate)
        passes = left >= 1
        self._buckets[who] = (left - passes, now)
        return 0.0 if passes else (1 - left) / self.rate


class Guards:
    """The guards, as an ASGI application around another.

    Args:
        app: the application.
        hosts: names that a request may have as its Host, without port.
        tokens: the tokens, of which a request must have one; none: no token is needed.
        limits: limits of the server.
        metrics: counters.
    """

    def __init__(
        self, app: Any, *, hosts: Iterable[str], tokens: Iterable[str], limits: Limits, metrics: Metrics
    ) -> None:
        self.app, self.limits, self.metrics = app, limits, metrics
        self.hosts = frozenset(host.lower() for host in hosts)
        self.tokens = tuple(token.encode() for token in tokens)
        self.rate = Rate(limits.rate)
        self.active = 0
        self.last = 0.0
        self.draining = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        started, status = time.monotonic(), 0

        async def sent(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = {name.lower() for name, _ in message["headers"]}
                more = [header for header in HEADERS if header[0] not in own]
                more += [(b"connection", b"close")] if self.draining else []
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        self.active += 1
        self.last = started
        try:
            self.check(scope)
            await self.app(scope, receive, sent)
        except RequestError as refused:
            await respond(sent, refused)
        finally:
            self.active -= 1
            self.last = time.monotonic()
            route = getattr(scope.get("endpoint"), "__name__", "none")
            self.metrics.request(route, status or 499, self.last - started)

    def check(self, scope: Any) -> None:
        """Refuse a foreign Host or Origin, a missing or wrong token, and too many requests.

        Raises:
            RequestError: names the header.
        """
        headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in (b"host", b"origin", b"authorization") and headers.setdefault(name, value) != value:
                raise RequestError(400, "a header occurs twice", field=name.decode("latin-1"))
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if _name(host) not in self.hosts:
            raise RequestError(
                403, "this server does not answer for this Host", field="Host", hint="allow it with --allow-host"
            )
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1").lower() not in (f"http://{host}", f"https://{host}"):
            raise RequestError(403, "requests from pages of another Origin are refused", field="Origin")
        if scope["path"] in OPEN:
            return
        who = b""
        if self.tokens:
            scheme, _, who = headers.get(b"authorization", b"").partition(b" ")
            known = [hmac.compare_digest(who.strip(), token) for token in self.tokens]
            if scheme.lower() != b"bearer" or not any(known):
                raise RequestError(
                    401,
                    "a token is needed",
                    field="Authorization",
                    hint="send the header Authorization: Bearer TOKEN",
                    headers={"WWW-Authenticate": "Bearer"},
                )
        if seconds := self.rate.wait(who.decode("latin-1")):
            raise RequestError(
                429,
                f"this token may make {self.limits.rate:g} requests a second",
                headers={"Retry-After": str(max(1, round(seconds)))},
            )


async def respond(send: Any, refused: RequestError) -> None:
    """Send a refusal."""
    body = json.dumps(refused.to_dict(), ensure_ascii=False).encode()
    headers = [(name.lower().encode(), value.encode()) for name, value in refused.headers.items()]
    headers += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if refused.status in (408, 413):  # the rest of the body is not read
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _name(host: str) -> str:
    """Return a Host without its port: "[::1]:8000" -> "::1"."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
